"""The demonstration's documents: categories, products and some hundred orders, with indexes."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from core.data import documents as store
from core.demo import Holding, Part, Seen
from core.demo.shop import CATEGORIES, CUSTOMERS, PRODUCTS, Customer
from core.times import rfc3339
from storage import operations, services

Document = dict[str, Any]

_ORDERS = 360
_FIRST_ORDER = datetime(2026, 1, 2, 8, tzinfo=UTC)
_STATUSES = ("delivered", "shipped", "paid", "cancelled", "returned")
_WEIGHTS = (70, 9, 8, 9, 4)


def _date(moment: datetime) -> Document:
    return {"$date": rfc3339(moment)}


def categories() -> list[Document]:
    """``{"_id", "name", "position"}``."""
    return [
        {"_id": key, "name": name, "position": at}
        for at, (key, name) in enumerate(CATEGORIES.items(), 1)
    ]


def products() -> list[Document]:
    """``{"_id", "sku", "name", "category", "price_cents", "origin", "tags", "stock", "added_at"}``.

    Pots and cups have ``dimensions`` too, and teas say how to make them.
    """
    dice = random.Random(24)  # noqa: S311 - the same shop each time
    return [
        {
            "_id": product.key,
            "sku": f"{product.category[:2].upper()}-{at:03}",
            "name": product.name,
            "category": product.category,
            "price_cents": product.price_cents,
            "origin": product.origin,
            "tags": list(product.tags),
            "stock": {"available": dice.randrange(0, 120), "reserved": dice.randrange(0, 6)},
            "added_at": _date(_FIRST_ORDER - timedelta(days=dice.randrange(20, 300))),
            **_particulars(product.category, dice),
        }
        for at, product in enumerate(PRODUCTS, 1)
    ]


def _particulars(category: str, dice: random.Random) -> Document:
    if category == "ware":
        height, weight = dice.randrange(60, 200), 50 * dice.randrange(2, 30)
        return {"dimensions": {"height_mm": height, "weight_g": weight}}
    minutes = dice.choice((2, 3, 4, 6))
    return {"brewing": {"celsius": dice.choice((75, 80, 90, 100)), "minutes": minutes}}


def orders() -> list[Document]:
    """Orders of eight months: the customer, what was bought, where it went, and what became of it.

    Gifts have a message, cancelled orders a reason, and not every customer left a note.
    """
    dice = random.Random(2026)  # noqa: S311 - the same orders each time
    placed, made = _FIRST_ORDER, []
    for number in range(1, _ORDERS + 1):
        placed += timedelta(minutes=dice.randrange(120, 1_700))
        made.append(_order(number, placed, dice))
    return made


def _order(number: int, placed: datetime, dice: random.Random) -> Document:
    customer = dice.choice(CUSTOMERS)
    status = dice.choices(_STATUSES, _WEIGHTS)[0]
    lines: list[Document] = [
        {
            "product": product.key,
            "name": product.name,
            "quantity": dice.choice((1, 1, 1, 2, 2, 3, 5)),
            "price_cents": product.price_cents,
        }
        for product in dice.sample(PRODUCTS, dice.choice((1, 1, 2, 2, 3, 4)))
    ]
    goods: int = sum(line["quantity"] * line["price_cents"] for line in lines)
    shipping = 0 if goods >= 4_900 else 490
    return {
        "_id": f"2026-{number:05}",
        "customer": customer.email,
        "status": status,
        "placed_at": _date(placed),
        "lines": lines,
        "shipping_cents": shipping,
        "total_cents": goods + shipping,
        "ship_to": _address(customer),
        "history": _history(status, placed, dice),
        **_extras(status, dice),
    }


def _address(customer: Customer) -> Document:
    return {
        "name": customer.name,
        "street": customer.street,
        "postcode": customer.postcode,
        "city": customer.city,
        "country": customer.country,
        "location": {"type": "Point", "coordinates": list(customer.place)},
    }


def _history(status: str, placed: datetime, dice: random.Random) -> list[Document]:
    """What happened to an order, and when."""
    steps = {
        "paid": ("placed", "paid"),
        "cancelled": ("placed", "cancelled"),
        "shipped": ("placed", "paid", "shipped"),
        "delivered": ("placed", "paid", "shipped", "delivered"),
        "returned": ("placed", "paid", "shipped", "delivered", "returned"),
    }
    found, at = [], placed
    for step in steps[status]:
        found.append({"status": step, "at": _date(at)})
        at += timedelta(minutes=dice.randrange(5, 2_900))
    return found


def _extras(status: str, dice: random.Random) -> Document:
    extras: Document = {"coupon": dice.choice(("SPRING10", "WELCOME", None, None, None, None))}
    if dice.random() < 0.12:
        extras["gift"] = {"message": dice.choice(("Happy birthday!", "With love", "Thank you"))}
    if dice.random() < 0.1:
        extras["note"] = dice.choice(("Ring twice, please.", "Leave it with the neighbours."))
    if status == "cancelled":
        extras["cancelled_because"] = dice.choice(("out of stock", "ordered twice", "too slow"))
    return extras


_COLLECTIONS: dict[str, tuple[Callable[[], list[Document]], tuple[str, ...]]] = {
    "shop_categories": (categories, ("position",)),
    "shop_products": (products, ("category -price_cents", "name:text")),
    "shop_orders": (
        orders,
        ("customer -placed_at", "status -placed_at", "ship_to.location:2dsphere"),
    ),
}
_UNIQUE = {"shop_products": "sku"}


class Documents(Part):
    """Three collections of clients' documents, told by their keys."""

    name = "storage"

    def survey(self) -> list[Holding]:
        existing, claimed = set(store.list_collections()), self.claims()
        found = []
        for name, (make, _) in _COLLECTIONS.items():
            wanted = len(make())
            there = len(_there(name)) if name in existing else 0
            others = name in existing and services.count_documents(collection=name) > there
            foreign = (others and not there) or (name in existing and name not in claimed)
            found.append(Holding(name, wanted, 0 if foreign else there, foreign))
        return found

    def load(self, *, by: str, seen: Seen) -> None:
        for name, (make, indexes) in _COLLECTIONS.items():
            self.claim(name)
            there = _there(name)
            if missing := [each for each in make() if each["_id"] not in there]:
                services.insert_documents(collection=name, documents=missing)
            _index(name, indexes, by)
            seen()

    def remove(self, *, by: str, seen: Seen) -> None:
        """Of a collection to which others added, what they added stays."""
        existing = set(store.list_collections())
        for name in self.claims():
            if name in existing:
                _remove(name, by)
            seen()
        self.release()


def _there(name: str) -> set[str]:
    """The keys of the shop's documents that a collection has."""
    keys = [each["_id"] for each in _COLLECTIONS[name][0]()]
    pipeline = [{"$match": {"_id": {"$in": keys}}}, {"$project": {"_id": 1}}]
    found = services.aggregate_documents(
        collection=name, pipeline=pipeline, check_read=lambda joined: None
    )
    return {each["_id"] for each in found}


def _index(name: str, wanted: tuple[str, ...], by: str) -> None:
    indexes = operations.list_indexes(collection=name)
    there = [operations.spell_keys(each["keys"]) for each in indexes]
    for words in [*wanted, *([_UNIQUE[name]] if name in _UNIQUE else [])]:
        keys = words.split()
        if keys not in there:
            operations.create_index(
                collection=name,
                keys=operations.parse_keys(keys),
                unique=words == _UNIQUE.get(name),
                by=by,
            )


def _remove(name: str, by: str) -> None:
    there = sorted(_there(name))
    if services.count_documents(collection=name) == len(there):
        operations.drop_collection(collection=name, by=by)
    elif there:
        query = {"_id": {"$in": there}}
        services.delete_documents(collection=name, query=query, principal=by)
