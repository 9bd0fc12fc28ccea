"""The demonstration's users: the customers of the shop, some signed in, some disabled."""

from __future__ import annotations

import secrets
from contextlib import suppress

from accounts import operations, services
from core.demo import Holding, Part, Seen
from core.demo.shop import CUSTOMERS, Customer
from core.errors import InvalidCredentials, UserNotFound

COLLECTION = "shop_customers"
# Every so many customers are in, were mistaken about the password, or were shut out.
_SIGNED_IN, _MISTAKEN, _DISABLED = 2, 5, 9
_BROWSERS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Safari/604.1",
    "ShopApp/2.4 (Android 15)",
)


class Users(Part):
    """One user collection, whose members are told by their ids."""

    name = "accounts"

    def survey(self) -> list[Holding]:
        total = {each["name"]: each["count"] for each in operations.list_collections()}
        ids, claims = _ids(), self.claims()
        there = sum(1 for key, made in claims.items() if made and ids.get(key) == made)
        unfinished = sum(1 for key, made in claims.items() if not made and key in ids)
        foreign = bool(total.get(COLLECTION)) and not there and not unfinished
        return [Holding(COLLECTION, len(CUSTOMERS), there, foreign)]

    def load(self, *, by: str, seen: Seen) -> None:
        """Passwords are random: nobody knows them, an operator can set another."""
        ids, claims = _ids(), self.claims()
        for number, customer in enumerate(CUSTOMERS, 1):
            key = customer.email
            if key in ids and claims.get(key) == ids[key]:
                continue
            if key in ids and key in claims:
                # Broken off before: begun again.
                operations.delete_user(collection=COLLECTION, user_id=ids[key], by=by)
            self.claim(key)
            self.claim(key, _make(number, customer, by))
            seen()

    def remove(self, *, by: str, seen: Seen) -> None:
        ids = _ids()
        for key, made in self.claims().items():
            user_id = made or ids.get(key)
            if user_id is not None:
                with suppress(UserNotFound):
                    operations.delete_user(collection=COLLECTION, user_id=user_id, by=by)
            seen()
        self.release()


def _ids() -> dict[str, str]:
    """The ids of those of the customers who are there."""
    keys = [customer.email for customer in CUSTOMERS]
    found = operations.list_users(
        collection=COLLECTION, query={"_key": {"$in": keys}}, limit=operations.MAX_FOUND
    )
    return {each["user"]["_key"]: each["user"]["_id"] for each in found}


def _make(number: int, customer: Customer, by: str) -> str:
    """Sign somebody up, and in; returns the id."""
    password = secrets.token_urlsafe(24)
    user = services.sign_up(
        collection=COLLECTION,
        key=customer.email,
        password=password,
        document={
            "name": customer.name,
            "city": customer.city,
            "country": customer.country,
            "newsletter": number % 3 == 0,
            "club": {"member": number % 4 == 1, "points": number * 37 % 500},
        },
        principal=by,
    )
    user_id: str = user["_id"]
    if number % _MISTAKEN == 0:
        with suppress(InvalidCredentials):
            _sign_in(number, customer, "not the password", by)
    if number % _SIGNED_IN == 0:
        for more in range(1 + number % 3):
            _sign_in(number + more, customer, password, by)
    if number % _DISABLED == 0:
        operations.disable_user(collection=COLLECTION, user_id=user_id, by=by)
    return user_id


def _sign_in(number: int, customer: Customer, password: str, by: str) -> None:
    services.sign_in(
        collection=COLLECTION,
        key=customer.email,
        password=password,
        # Of a network for documentation (RFC 5737).
        ip=f"203.0.113.{number}",
        user_agent=_BROWSERS[number % len(_BROWSERS)],
        principal=by,
    )
