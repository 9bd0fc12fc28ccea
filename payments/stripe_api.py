"""Stripe's API: the only module that imports ``stripe``. Plain values in, plain values out.

It is imported when it is first needed: servers without payments do without its 5 MB.

Called by the modules of this service. Raises PaymentsNotConfigured, PaymentRefused, CardDeclined,
StripeObjectNotFound and StripeUnavailable.
Source: https://docs.stripe.com/api
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import structlog
from django.conf import settings

from core.errors import (
    CardDeclined,
    InvalidSignature,
    PaymentRefused,
    PaymentsNotConfigured,
    StripeObjectNotFound,
    StripeUnavailable,
)
from core.imports import absent
from core.turns import waiting

if TYPE_CHECKING:
    import stripe

log = structlog.get_logger("coglex.payments")

Object = dict[str, Any]
# What the mirror and its tests know; the SDK's own default moves with each release.
API_VERSION = "2026-10-28.endive"
_CONNECT_SECONDS = 5
_TOLERANCE_SECONDS = 300
_PAGE = 100
# Stripe's names of what is mirrored, and where it is in the client.
KINDS = {
    "customer": "customers",
    "checkout.session": "checkout.sessions",
    "subscription": "subscriptions",
    "subscription_schedule": "subscription_schedules",
    "invoice": "invoices",
    "refund": "refunds",
}
_PLACES = {**KINDS, "product": "products", "price": "prices"}


def is_configured() -> bool:
    """Whether there is a key for Stripe."""
    return bool(settings.STRIPE_SECRET_KEY)


def is_live() -> bool:
    """Whether the key moves real money."""
    return str(settings.STRIPE_SECRET_KEY).startswith(("sk_live_", "rk_live_"))


def require_configured() -> None:
    """Raise PaymentsNotConfigured unless there is a key."""
    if not is_configured():
        raise PaymentsNotConfigured


@cache
def _sdk() -> Any:
    with absent("chardet", "charset_normalizer"), warnings.catch_warnings():
        # requests warns that it cannot guess encodings: Stripe's is UTF-8, and 3 MB are saved.
        warnings.simplefilter("ignore")
        import stripe
    return stripe


@lru_cache(maxsize=4)
def _connected(key: str, base: str, timeout: int, retries: int) -> Any:
    stripe = _sdk()
    addresses: Any = {"api": base} if base else {}
    return stripe.StripeClient(
        key,
        stripe_version=API_VERSION,
        base_addresses=addresses,
        max_network_retries=retries,
        http_client=stripe.RequestsClient(timeout=(_CONNECT_SECONDS, timeout)),
    )


def _client() -> Any:
    require_configured()
    return _connected(
        settings.STRIPE_SECRET_KEY,
        settings.STRIPE_API_BASE,
        settings.COGLEX_STRIPE_TIMEOUT_SECONDS,
        settings.COGLEX_STRIPE_RETRIES,
    ).v1


def _service(kind: str) -> Any:
    found = _client()
    for name in _PLACES[kind].split("."):
        found = getattr(found, name)
    return found


def create(kind: str, params: Object, *, idempotency_key: str) -> Object:
    """Make an object; the same key makes it once, however often that is tried."""
    service = _service(kind)
    return _asked(lambda: service.create(params, {"idempotency_key": idempotency_key}))


def retrieve(kind: str, object_id: str) -> Object:
    """An object as it is now; raises StripeObjectNotFound."""
    service = _service(kind)
    return _asked(lambda: service.retrieve(object_id))


def price(price_id: str) -> Object:
    """A price; raises PaymentRefused for one that Stripe does not know."""
    try:
        return retrieve("price", price_id)
    except StripeObjectNotFound as error:
        # A client's body named it.
        raise PaymentRefused(error.detail, extra=error.extra) from None


def list_all(kind: str, **params: object) -> Iterator[Object]:
    """All objects of a kind, page by page, the newest first."""
    service = _service(kind)
    after: str | None = None
    while True:
        page = {"limit": _PAGE, **params, **({"starting_after": after} if after else {})}
        found = _asked(lambda page=page: service.list(page))  # type: ignore[misc]
        objects = found.get("data", [])
        yield from objects
        if not objects or not found.get("has_more"):
            return
        after = objects[-1]["id"]


def _asked(call: Callable[[], Any]) -> Object:
    """The answer to a call as plain values; Stripe's errors in the domain's words."""
    stripe = _sdk()
    try:
        with waiting():
            answered = call()
    except stripe.CardError as error:
        raise CardDeclined(_message(error), extra=_about(error)) from None
    except stripe.InvalidRequestError as error:
        # What the path names is 404, whatever Stripe calls the parameter; what a body names is 400.
        kind = StripeObjectNotFound if error.http_status == 404 else PaymentRefused
        raise kind(_message(error), extra=_about(error)) from None
    except stripe.IdempotencyError as error:
        raise PaymentRefused(_message(error), extra=_about(error)) from None
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        log.error("stripe_refused_the_key", error=type(error).__name__)
        raise PaymentsNotConfigured("Stripe does not accept this server's key.") from None
    except stripe.StripeError as error:
        log.error("stripe_unavailable", error=type(error).__name__, status=error.http_status)
        raise StripeUnavailable from None
    plain: Object = answered.to_dict(for_json=True)
    return plain


def _message(error: stripe.StripeError) -> str:
    return error.user_message or "Stripe refused this."


def _about(error: stripe.StripeError) -> dict[str, object]:
    """What Stripe says about its refusal, for the client."""
    said = {
        "message": _message(error),
        "param": getattr(error, "param", None),
        "code": error.code,
        "decline_code": getattr(error.error, "decline_code", None) if error.error else None,
    }
    return {"stripe": {name: value for name, value in said.items() if value is not None}}


def verified_event(payload: bytes, signature: str) -> Object:
    """The event in a webhook's raw body; raises InvalidSignature unless Stripe signed it just now.

    Any of the configured secrets may have signed, so that they can be changed without a gap.
    """
    stripe = _sdk()
    for secret in settings.STRIPE_WEBHOOK_SECRETS:
        try:
            stripe.WebhookSignature.verify_header(payload, signature, secret, _TOLERANCE_SECONDS)
        except (stripe.SignatureVerificationError, UnicodeDecodeError, ValueError):
            continue
        return _event(payload)
    raise InvalidSignature


def _event(payload: bytes) -> Object:
    try:
        event = json.loads(payload)
    except ValueError:
        raise InvalidSignature("The signed body is not JSON.") from None
    if not isinstance(event, dict) or not isinstance(event.get("id"), str):
        raise InvalidSignature("The signed body is not an event.")
    return event
