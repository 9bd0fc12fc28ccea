"""The driver's errors in the domain's words: the one place that knows both.

Codes: https://github.com/mongodb/mongo/blob/v6.0/src/mongo/base/error_codes.yml
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

import structlog
from bson.errors import BSONError
from pymongo import errors as driver

from core.errors import (
    CoglexError,
    DatabaseUnavailable,
    DocumentRejected,
    DocumentTooLarge,
    DuplicateKey,
    FieldError,
    InvalidDocument,
    InvalidQuery,
    QueryTimeout,
    ResultTooLarge,
    TransactionsUnavailable,
)

log = structlog.get_logger("coglex.data")

DUPLICATE_KEY = {11000, 11001, 12582}
TIMEOUT = {50, 202, 262}
TOO_LARGE = {10334, 17419, 17420, 17280, 17260}
OVER_MEMORY = {146, 292, 16819, 16945, 31299, 5643004}
REJECTED = {121}
# Collided or interrupted transactions, lost sessions, no disk space, missing rights: nothing that
# the client asked for in the wrong way.
UNAVAILABLE = {6, 7, 13, 18, 24, 112, 225, 246, 251, 11600, 11602, 14031, 91, 189, 10107, 13435}
NO_TRANSACTIONS = {20, 263}


class _Translation:
    """Context manager without the cost of a generator: it stands around every operation."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, driver.PyMongoError | BSONError):
            raise translate(error) from error


_translation = _Translation()


def translated() -> _Translation:
    """Turn what the driver raises inside into the domain's errors."""
    return _translation


def translate(error: driver.PyMongoError | BSONError) -> CoglexError:
    """The domain's error for one of the driver's, without any of the driver's text."""
    if isinstance(error, driver.DocumentTooLarge):
        return DocumentTooLarge()
    if isinstance(error, BSONError):
        return InvalidDocument()
    if isinstance(error, driver.BulkWriteError):
        return _bulk(error)
    if isinstance(error, driver.ExecutionTimeout | driver.NetworkTimeout):
        return QueryTimeout()
    if isinstance(error, driver.OperationFailure):
        return _failure(error.code or 0, error.details or {})
    # Mostly ConnectionFailure; whatever else comes from the driver is not the client's fault.
    log.warning("database_unavailable", error=type(error).__name__)
    return DatabaseUnavailable()


def _failure(code: int, details: Mapping[str, Any]) -> CoglexError:
    if code in DUPLICATE_KEY:
        return _duplicate(details)
    if code in TIMEOUT:
        return QueryTimeout()
    if code in TOO_LARGE:
        return DocumentTooLarge()
    if code in OVER_MEMORY:
        return ResultTooLarge(
            "The database needs too much memory for this; add an index, a filter or a limit."
        )
    if code in REJECTED:
        return DocumentRejected()
    if code in NO_TRANSACTIONS:
        return TransactionsUnavailable()
    name = details.get("codeName", "")
    if code in UNAVAILABLE or "TransientTransactionError" in details.get("errorLabels", ()):
        log.warning("database_unavailable", code=code, name=name)
        return DatabaseUnavailable()
    log.info("database_refused", code=code, name=name)
    return InvalidQuery(f"The database refused this ({name or code}).")


def _duplicate(details: Mapping[str, Any]) -> DuplicateKey:
    fields = details.get("keyPattern") or {"_id": 1}
    return DuplicateKey(
        errors=[
            FieldError("This value is taken.", DuplicateKey.code, "/" + name.replace(".", "/"))
            for name in fields
        ]
    )


def _bulk(error: driver.BulkWriteError) -> CoglexError:
    failures = error.details.get("writeErrors") or error.details.get("writeConcernErrors") or [{}]
    first = failures[0]
    translation = _failure(first.get("code", 0), first)
    return translation.under(f"/{first['index']}") if "index" in first else translation
