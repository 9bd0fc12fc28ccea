"""What clients ask for, checked before it leaves for Stripe: amounts, prices, addresses.

Called by ``payments.services``. Plain JSON values in, Stripe's parameters out; every fault is said
with a pointer to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from core.errors import InvalidInput, PriceNotAllowed, RedirectNotAllowed, below

Params = dict[str, Any]
MODES = ("payment", "subscription", "setup")
INTERVALS = ("day", "week", "month", "year")
_MAX_AMOUNT = 99_999_999
_MAX_ITEMS = 100
_price_id = re.compile(r"[A-Za-z0-9_]{1,255}").fullmatch
_currency = re.compile(r"[A-Za-z]{3}").fullmatch
_method = re.compile(r"[a-z0-9_]{1,50}").fullmatch
_url_text = re.compile(r"[\x21-\x5b\x5d-\x7e]{1,2048}").fullmatch
_short = re.compile(r".{1,250}", re.DOTALL).fullmatch
_long = re.compile(r".{1,500}", re.DOTALL).fullmatch
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def members(body: object, required: set[str], optional: set[str]) -> Params:
    """The body, an object with these members and no others; null counts as absent."""
    if not isinstance(body, dict):
        raise InvalidInput.at("", "This must be a JSON object.")
    given = {name: value for name, value in body.items() if value is not None}
    for name in sorted(required - given.keys()):
        raise InvalidInput.at(f"/{name}", f"{name} is missing.")
    for name in body.keys() - required - optional:
        raise InvalidInput.at(f"/{name[:100]}", f"{name[:100]!r} is not known here.")
    return given


def parse_checkout(body: object) -> tuple[Params, str | None]:
    """Stripe's parameters of a checkout session, without the customer; and the email, if any."""
    if isinstance(body, dict) and "linedata" in body and "line_items" not in body:
        body = {"line_items" if name == "linedata" else name: body[name] for name in body}
    optional = {"line_items", "email", "currency", "payment_method_types", "metadata"}
    given = members(body, {"mode", "success_url", "cancel_url"}, optional)
    mode = _one_of(given["mode"], MODES, "/mode")
    params: Params = {"mode": mode}
    for name in ("success_url", "cancel_url"):
        params[name] = _redirect(given[name], f"/{name}")
    if mode == "setup":
        if "line_items" in given:
            raise InvalidInput.at("/line_items", "A setup has no line items.")
    else:
        if "line_items" not in given:
            raise InvalidInput.at("/line_items", "line_items is missing.")
        params["line_items"] = _line_items(given["line_items"], recurring=mode == "subscription")
    if "currency" in given:
        params["currency"] = _currency_of(given["currency"], "/currency")
    if "payment_method_types" in given:
        # What Stripe's API calls it since its version "endive".
        params["allowed_payment_method_types"] = _methods(given["payment_method_types"])
    if "metadata" in given:
        params["metadata"] = _metadata(given["metadata"])
    return params, _email(given["email"]) if "email" in given else None


def parse_subscription(body: object) -> Params:
    """``{"email", "line_items", "due", "start_date", "iterations", "metadata"}``, checked."""
    optional = {"due", "start_date", "iterations", "metadata"}
    given = members(body, {"email", "line_items"}, optional)
    return {
        "email": _email(given["email"]),
        "line_items": _line_items(given["line_items"], recurring=True),
        "due": _whole(given["due"], 1, 730, "/due") if "due" in given else None,
        "start_date": _start(given.get("start_date", "now")),
        "iterations": _whole(given["iterations"], 1, 1000, "/iterations")
        if "iterations" in given
        else None,
        "metadata": _metadata(given.get("metadata", {})),
    }


def normalise_email(email: str) -> str:
    """How an email is looked for: without regard to case."""
    return email.strip().casefold()


def _email(value: object) -> str:
    text = value.strip() if isinstance(value, str) else ""
    try:
        if not text.isascii() or len(text) > 254:
            raise ValidationError("")
        validate_email(text)
    except ValidationError:
        raise InvalidInput.at("/email", "email must be an email address.") from None
    return text


def _whole(value: object, low: int, high: int, pointer: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidInput.at(pointer, f"This must be a whole number from {low} to {high}.")
    return value


def _one_of(value: object, choices: tuple[str, ...], pointer: str) -> str:
    if not isinstance(value, str) or value not in choices:
        raise InvalidInput.at(pointer, f"This must be one of {', '.join(choices)}.")
    return value


def _text(value: object, fits: Callable[[str], object], pointer: str, what: str) -> str:
    if not isinstance(value, str) or not fits(value):
        raise InvalidInput.at(pointer, f"This must be {what}.")
    return value


def _currency_of(value: object, pointer: str) -> str:
    return _text(value, _currency, pointer, "a currency's three letters").lower()


def _methods(value: object) -> list[str]:
    if not isinstance(value, list) or not 1 <= len(value) <= 50:
        raise InvalidInput.at("/payment_method_types", "This must be a list of names.")
    return [
        _text(each, _method, f"/payment_method_types/{at}", "a payment method's name")
        for at, each in enumerate(value)
    ]


def _metadata(value: object, pointer: str = "/metadata") -> dict[str, str]:
    """Source: https://docs.stripe.com/metadata"""
    if not isinstance(value, dict) or len(value) > 50:
        raise InvalidInput.at(pointer, "This must be an object of at most 50 members.")
    for name, text in value.items():
        if not 1 <= len(name) <= 40 or "[" in name or "]" in name:
            raise InvalidInput.at(pointer, "Names have 1 to 40 characters, none of them [ or ].")
        _text(text, lambda given: len(given) <= 500, f"{pointer}/{name}", "text of 500 characters")
    return value


def _start(value: object) -> int | str:
    """Unix seconds, an RFC 3339 time, or ``now``."""
    if value == "now":
        return "now"
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None:
            value = int(moment.timestamp())
    return _whole(value, 0, 2**33, "/start_date")


def _line_items(value: object, *, recurring: bool) -> list[Params]:
    if not isinstance(value, list) or not 1 <= len(value) <= _MAX_ITEMS:
        raise InvalidInput.at("/line_items", f"This must be a list of 1 to {_MAX_ITEMS} items.")
    items = []
    for at, each in enumerate(value):
        with below(f"/line_items/{at}"):
            items.append(_line_item(each, recurring=recurring))
    return items


def _line_item(value: object, *, recurring: bool) -> Params:
    given = members(value, set(), {"price", "price_data", "quantity"})
    if ("price" in given) == ("price_data" in given):
        raise InvalidInput.at("", "An item has either price or price_data.")
    item: Params = {"quantity": _whole(given.get("quantity", 1), 1, 999_999, "/quantity")}
    allowed = settings.COGLEX_PAYMENT_PRICES
    if "price" in given:
        item["price"] = _text(given["price"], _price_id, "/price", "the id of a price")
        if allowed and item["price"] not in allowed:
            raise PriceNotAllowed.at("/price", PriceNotAllowed.default_detail)
        return item
    if allowed:
        raise PriceNotAllowed.at("/price_data", "Prices are fixed here: name one by its id.")
    with below("/price_data"):
        item["price_data"] = _price_data(given["price_data"], recurring=recurring)
    return item


def _price_data(value: object, *, recurring: bool) -> Params:
    given = members(
        value, {"currency", "unit_amount"}, {"product", "product_data", "recurring", "tax_behavior"}
    )
    if ("product" in given) == ("product_data" in given):
        raise InvalidInput.at("", "A price has either product or product_data.")
    if ("recurring" in given) != recurring:
        said = "needs" if recurring else "takes no"
        raise InvalidInput.at("/recurring", f"A price {said} recurring here.")
    data: Params = {
        "currency": _currency_of(given["currency"], "/currency"),
        "unit_amount": _whole(given["unit_amount"], 0, _MAX_AMOUNT, "/unit_amount"),
    }
    if "product" in given:
        data["product"] = _text(given["product"], _price_id, "/product", "the id of a product")
    else:
        with below("/product_data"):
            data["product_data"] = _product_data(given["product_data"])
    if recurring:
        with below("/recurring"):
            data["recurring"] = _recurring(given["recurring"])
    if "tax_behavior" in given:
        choices = ("exclusive", "inclusive", "unspecified")
        data["tax_behavior"] = _one_of(given["tax_behavior"], choices, "/tax_behavior")
    return data


def _product_data(value: object) -> Params:
    given = members(value, {"name"}, {"description", "images", "metadata"})
    for name, fits in (("name", _short), ("description", _long)):
        if name in given:
            _text(given[name], fits, f"/{name}", "text, and not a long one")
    images = given.get("images", [])
    if not isinstance(images, list) or len(images) > 8:
        raise InvalidInput.at("/images", "This must be a list of at most 8 addresses.")
    for at, image in enumerate(images):
        if not isinstance(image, str) or not image.startswith("https://") or not _url_text(image):
            raise InvalidInput.at(f"/images/{at}", "This must be an https address.")
    if "metadata" in given:
        _metadata(given["metadata"])
    return given


def _recurring(value: object) -> Params:
    given = members(value, {"interval"}, {"interval_count"})
    return {
        "interval": _one_of(given["interval"], INTERVALS, "/interval"),
        "interval_count": _whole(given.get("interval_count", 1), 1, 36, "/interval_count"),
    }


def _redirect(value: object, pointer: str) -> str:
    """An address that people may be sent to: https, and where the operator says, if they do."""
    text = value if isinstance(value, str) and _url_text(value) else ""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    # {CHECKOUT_SESSION_ID} is Stripe's, and no other place for braces.
    if not host or "@" in parts.netloc or not re.fullmatch(r"[a-z0-9.:-]+", host.lower()):
        raise InvalidInput.at(pointer, "This must be an https address.")
    local = settings.DEBUG and parts.scheme == "http" and host in _LOOPBACK
    if parts.scheme != "https" and not local:
        raise RedirectNotAllowed.at(pointer, "Addresses must begin with https://.")
    named = f"[{host}]" if ":" in host else host.lower()
    default = {"https": 443, "http": 80}[parts.scheme]
    origin = f"{parts.scheme}://{named}" + (f":{port}" if port not in {None, default} else "")
    if settings.COGLEX_PAYMENT_REDIRECTS and origin not in settings.COGLEX_PAYMENT_REDIRECTS:
        raise RedirectNotAllowed.at(pointer, f"{origin} is not on this server's list.")
    return text
