"""The module's domain: plain values in and out, errors of ``core.errors``, no HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from core.errors import Unprocessable
from gateway.kit.interface import Coglex

coglex = Coglex(__name__)

PRODUCTS, ORDERS = "products", "orders"
MOST = 100


class OutOfStock(Unprocessable):
    """Errors of a module have a code of their own, which clients can rely on."""

    code = "out_of_stock"
    title = "Out of stock"
    default_detail = "There is not as much of it as was ordered."


def place_order(*, customer: dict[str, Any], product: str, quantity: int) -> dict[str, Any]:
    """Take the goods from the stock and write the order, or neither; returns the order.

    Raises DocumentNotFound for an unknown product, OutOfStock.
    """

    def work() -> dict[str, Any]:
        ordered = coglex.documents.get(PRODUCTS, product)
        enough = {"_id": ordered["_id"], "stock": {"$gte": quantity}}
        if not coglex.documents.update_all(PRODUCTS, enough, {"$inc": {"stock": -quantity}}):
            raise OutOfStock
        order = {
            "customer": customer["_id"],
            "product": product,
            "quantity": quantity,
            "price": ordered.get("price", 0) * quantity,
            "ordered_at": datetime.now(UTC),
        }
        key = coglex.documents.insert(ORDERS, order)
        coglex.audit.record("order", target=key, product=product, quantity=quantity)
        return {"_id": key, **order}

    return coglex.documents.transaction(work)


def list_orders(*, customer: dict[str, Any]) -> list[dict[str, Any]]:
    """The customer's own orders, the newest first."""
    return coglex.documents.find(ORDERS, {"customer": customer["_id"]}, sort="-ordered_at")


def list_short(*, below: int) -> list[dict[str, Any]]:
    """``{"_id", "name", "stock"}`` of products of which less than so much is left."""
    short = {"stock": {"$lt": below}}
    return coglex.documents.find(PRODUCTS, short, keys=["name", "stock"], sort="stock", limit=1000)
