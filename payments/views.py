"""HTTP for payments: validate, call one service function, answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from rest_framework.permissions import AllowAny

from core.data.records import Record
from core.errors import InvalidParameter, InvalidSignature, NotSignedIn, PaymentsNotConfigured
from core.http.bodies import flag_parameter, json_body, parameter, raw_body
from core.http.carried import principal
from core.http.idempotency import Commit, run_once
from core.http.permissions import HasAPIKey
from core.http.signed_in import signed_in_user
from core.http.views import ServiceViewSet, answer
from payments import events, schema, services, worker

_FIELDS = ("email", "customer", "subscription")


class PaymentViewSet(ServiceViewSet):
    """Checkout and subscriptions."""

    service = "payment"
    permission_classes = [HasAPIKey]

    @schema.checkout
    def checkout(self, request: HttpRequest) -> HttpResponse:
        return _once(request, lambda: services.create_checkout(**_asked(request)))

    @schema.subscription
    def subscription(self, request: HttpRequest) -> HttpResponse:
        return _once(request, lambda: services.create_subscription(**_asked(request)))

    @schema.status
    def status(self, request: HttpRequest) -> HttpResponse:
        given = {name: value for name in _FIELDS if (value := parameter(request, name))}
        if len(given) != 1:
            raise InvalidParameter.of(
                "email", "Ask by one of the parameters email, customer and subscription."
            )
        ((field, value),) = given.items()
        refresh = flag_parameter(request, "refresh")
        return answer(services.subscription_status(field=field, value=value, refresh=refresh))


class WebhookViewSet(ServiceViewSet):
    """What Stripe tells us; its signature stands for an API key."""

    service = "payment"
    permission_classes = [AllowAny]

    @schema.webhook
    def webhook(self, request: HttpRequest) -> HttpResponse:
        if not settings.STRIPE_WEBHOOK_SECRETS:
            raise PaymentsNotConfigured
        signature = request.META.get("HTTP_STRIPE_SIGNATURE", "")
        if not signature:
            raise InvalidSignature
        event_id, is_new = events.receive(payload=raw_body(request), signature=signature)
        if is_new:
            worker.submit(event_id)
        return answer({"received": True, "duplicate": not is_new})


def _once(request: HttpRequest, make: Callable[[], Any]) -> HttpResponse:
    """Ask Stripe outside of any transaction, then keep the answer for repetitions."""

    def run(commit: Commit) -> HttpResponse:
        made = make()
        return commit(lambda: answer(made, status=201))

    return run_once(request, body=lambda: raw_body(request), run=run)


def _asked(request: HttpRequest) -> dict[str, Any]:
    who = principal(request).id
    key = services.request_key(who, request.path_info, request.META.get("HTTP_IDEMPOTENCY_KEY"))
    return {
        "body": json_body(request),
        "user": _user(request),
        "request_key": key,
        "principal": who,
    }


def _user(request: HttpRequest) -> Record | None:
    """Whoever is signed in with this request, if anybody is."""
    try:
        return signed_in_user(request)
    except NotSignedIn:
        return None
