"""What can go wrong, in the domain's words; knows no HTTP.

Raised by services and the data layer, caught by nobody in between;
``core.http.problems`` alone turns these classes into statuses and bodies.

CoglexError
├── InvalidInput                the request is malformed or refused
│   ├── InvalidJSON             not JSON, or JSON that cannot be kept exactly
│   ├── InvalidDocument         a value no document may hold
│   │   ├── InvalidFieldName    a name MongoDB gives a meaning to
│   │   └── ReservedField       a name Coglex keeps for itself
│   ├── InvalidCollection       not a collection's name
│   ├── InvalidKey              not a document's key
│   ├── InvalidSignature        a webhook that Stripe did not sign, or not just now
│   ├── InvalidMultipart        a form with a file that is cut short, or not as announced
│   ├── InvalidParameter        a query parameter, header or option of the wrong form
│   │   └── InvalidCursor       a next link that was altered or is for another list
│   ├── PaymentRefused          Stripe says no, and why
│   ├── PriceNotAllowed         a price that is not on the operator's list
│   ├── RedirectNotAllowed      an address that people are not sent to from here
│   └── InvalidQuery            a filter, update, sort, projection or pipeline of the wrong form
│       └── OperatorNotAllowed  an operator, stage or variable that is not on the list
├── Unauthenticated             nobody we know
│   ├── MissingAPIKey
│   ├── InvalidAPIKey
│   ├── NotSignedIn
│   └── InvalidCredentials      whatever it was that did not fit
├── CardDeclined                Stripe's word for a card that does not pay
├── Forbidden                   known, but not allowed
│   ├── InsufficientScope
│   ├── InvalidLink             a signed link that was altered, or is over
│   └── CrossSiteRequest        a session's cookie, sent from another site
├── NotFound
│   ├── DocumentNotFound
│   ├── APIKeyNotFound
│   ├── UserNotFound
│   ├── SessionNotFound
│   ├── StoredFileNotFound
│   ├── PaymentEventNotFound
│   └── StripeObjectNotFound    Stripe has it no more
├── MethodNotAllowed            the path is known, but not with this method
├── Conflict                    the state of the data says no
│   ├── DuplicateKey
│   ├── KeyTaken                another user has this _key
│   └── IdempotencyInFlight
├── PreconditionFailed          If-Match, If-None-Match
├── TooLarge
│   ├── BodyTooLarge
│   ├── DocumentTooLarge
│   ├── FileTooLarge
│   └── ResultTooLarge
├── RangeNotSatisfiable         none of the range that was asked for is there
├── UnsupportedType             a body of another media type
│   ├── TypeNotAllowed          a file whose content is of a type that is not on the list
│   └── TypeMismatch            a file whose content and name do not agree
├── Unprocessable               well formed, but the domain says no
│   ├── DocumentRejected        a rule that the operator set on the collection
│   ├── WeakPassword
│   ├── MalwareDetected
│   ├── QuotaExceeded           the key holds as many files or bytes as it may
│   └── IdempotencyKeyReused
├── RetryLater                  says when to come back
│   ├── RateLimited
│   └── Unavailable             a part does not answer
│       ├── DatabaseUnavailable
│       ├── CacheUnavailable    Redis, which counts requests
│       ├── TransactionsUnavailable
│       ├── PaymentsNotConfigured   there is no key for Stripe, or it is not a good one
│       ├── ScannerUnavailable  what is not known to be clean is not taken, and not served
│       │   └── ScanRefused     the scanner answers, but not for this file
│       ├── StorageFull         no space is left for files
│       ├── StoreUnavailable    where the files' bytes are does not answer
│       └── ModuleUnavailable   an operator's module that could not be loaded
├── StripeUnavailable           Stripe does not answer, after several tries
└── QueryTimeout                a database operation over its time limit
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self


@dataclass(frozen=True, slots=True)
class FieldError:
    """One place in the input and what is wrong there.

    ``pointer`` is a JSON Pointer (RFC 6901) into the body or the JSON parameter;
    ``parameter`` names the query parameter or header, where the fault is in one.
    """

    detail: str
    code: str
    pointer: str | None = None
    parameter: str | None = None


class CoglexError(Exception):
    """Root of everything the domain raises; ``detail`` is written for the client."""

    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"
    default_detail: ClassVar[str] = "Something went wrong."

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Iterable[FieldError] = (),
        extra: Mapping[str, object] | None = None,
    ) -> None:
        self.detail = detail or self.default_detail
        self.errors = tuple(errors)
        self.extra = dict(extra or {})
        super().__init__(self.detail)

    @classmethod
    def at(cls, pointer: str, detail: str) -> Self:
        """This error for the place ``pointer`` of the input."""
        return cls(detail, errors=[FieldError(detail, cls.code, pointer=pointer)])

    @classmethod
    def of(cls, parameter: str, detail: str, *, pointer: str | None = None) -> Self:
        """This error for the query parameter or header ``parameter``."""
        return cls(detail, errors=[FieldError(detail, cls.code, pointer, parameter)])

    def under(self, prefix: str) -> Self:
        """Prefix every pointer: the input was a part of something larger."""
        self.errors = tuple(
            error if error.pointer is None else replace(error, pointer=prefix + error.pointer)
            for error in self.errors
        )
        return self

    def within(self, parameter: str) -> Self:
        """Name the query parameter that the pointers lead into."""
        self.errors = tuple(replace(error, parameter=parameter) for error in self.errors)
        return self


class InvalidInput(CoglexError):
    code = "invalid_request"
    title = "Invalid request"
    default_detail = "The request is malformed."


class InvalidJSON(InvalidInput):
    code = "invalid_json"
    title = "Invalid JSON"
    default_detail = "The body is not valid JSON."


class InvalidDocument(InvalidInput):
    code = "invalid_document"
    title = "Invalid document"
    default_detail = "The document holds a value that cannot be stored."


class InvalidFieldName(InvalidDocument):
    code = "invalid_field_name"
    title = "Invalid field name"
    default_detail = "Field names must not be empty, start with '$', or contain '.' or NUL."


class ReservedField(InvalidDocument):
    code = "reserved_field"
    title = "Reserved field"
    default_detail = "Fields that start with '_' are reserved."


class InvalidCollection(InvalidInput):
    code = "invalid_collection"
    title = "Invalid collection name"
    default_detail = (
        "A collection's name is 1 to 64 characters: a letter, then letters, digits, '_', '.' "
        "or '-'; without '..', a '.' at its end, or 'system.' at its start."
    )


class InvalidKey(InvalidInput):
    code = "invalid_key"
    title = "Invalid key"
    default_detail = (
        "A key is a string of 1 to 128 characters without '/' and control characters, "
        "an integer, an ObjectId or a UUID."
    )


class InvalidMultipart(InvalidInput):
    code = "invalid_multipart"
    title = "Invalid form"
    default_detail = "The body is not a whole multipart/form-data form."


class InvalidSignature(InvalidInput):
    code = "invalid_signature"
    title = "Invalid signature"
    default_detail = "The webhook carries no signature of Stripe's for this body, made just now."


class PaymentRefused(InvalidInput):
    code = "payment_refused"
    title = "Payment refused"
    default_detail = "Stripe refused this."


class PriceNotAllowed(InvalidInput):
    code = "price_not_allowed"
    title = "Price not allowed"
    default_detail = "This price is not on this server's list."


class RedirectNotAllowed(InvalidInput):
    code = "redirect_not_allowed"
    title = "Redirect not allowed"
    default_detail = "People are not sent to this address from here."


class InvalidParameter(InvalidInput):
    code = "invalid_parameter"
    title = "Invalid parameter"
    default_detail = "A parameter has a value of the wrong form."


class InvalidCursor(InvalidParameter):
    code = "invalid_cursor"
    title = "Invalid next link"
    default_detail = "The next link was altered, or belongs to another list."


class InvalidQuery(InvalidInput):
    code = "invalid_query"
    title = "Invalid query"
    default_detail = "The query is malformed."


class OperatorNotAllowed(InvalidQuery):
    code = "operator_not_allowed"
    title = "Operator not allowed"
    default_detail = "The query uses an operator that is not allowed."


class Unauthenticated(CoglexError):
    code = "unauthenticated"
    title = "Authentication required"
    default_detail = "The request carries no valid credentials."


class MissingAPIKey(Unauthenticated):
    code = "missing_api_key"
    title = "API key required"
    default_detail = "Send an API key in the X-API-Key header."


class InvalidAPIKey(Unauthenticated):
    code = "invalid_api_key"
    title = "Invalid API key"
    default_detail = "The API key is unknown, expired or revoked."


class NotSignedIn(Unauthenticated):
    code = "not_signed_in"
    title = "Sign-in required"
    default_detail = "There is no valid session."


class InvalidCredentials(Unauthenticated):
    code = "invalid_credentials"
    title = "Invalid credentials"
    default_detail = "These credentials do not let anybody in."


class CardDeclined(CoglexError):
    code = "card_declined"
    title = "Card declined"
    default_detail = "The card was declined."


class Forbidden(CoglexError):
    code = "forbidden"
    title = "Forbidden"
    default_detail = "The credentials do not allow this."


class InsufficientScope(Forbidden):
    code = "insufficient_scope"
    title = "Insufficient scope"
    default_detail = "The API key lacks the scope for this."


class InvalidLink(Forbidden):
    code = "invalid_link"
    title = "Invalid link"
    default_detail = "The link was altered, or its time is over."


class CrossSiteRequest(Forbidden):
    code = "cross_site_request"
    title = "Cross-site request"
    default_detail = "A session's cookie counts only in requests from this site."


class NotFound(CoglexError):
    code = "not_found"
    title = "Not found"
    default_detail = "There is nothing here."


class DocumentNotFound(NotFound):
    code = "document_not_found"
    title = "Document not found"
    default_detail = "The collection has no document with this key."


class APIKeyNotFound(NotFound):
    code = "api_key_not_found"
    title = "API key not found"
    default_detail = "There is no API key with this prefix."


class UserNotFound(NotFound):
    code = "user_not_found"
    title = "User not found"
    default_detail = "The collection has no such user."


class SessionNotFound(NotFound):
    code = "session_not_found"
    title = "Session not found"
    default_detail = "The user has no such session."


class StoredFileNotFound(NotFound):
    code = "file_not_found"
    title = "File not found"
    default_detail = "There is no file with this id."


class PaymentEventNotFound(NotFound):
    code = "payment_event_not_found"
    title = "Event not found"
    default_detail = "There is no event with this id."


class StripeObjectNotFound(NotFound):
    code = "stripe_object_not_found"
    title = "Not found at Stripe"
    default_detail = "Stripe has no such object."


class MethodNotAllowed(CoglexError):
    code = "method_not_allowed"
    title = "Method not allowed"
    default_detail = "This path does not take this method."

    def __init__(self, detail: str | None = None, *, allowed: Iterable[str] = ()) -> None:
        super().__init__(detail)
        self.allowed = tuple(allowed)


class Conflict(CoglexError):
    code = "conflict"
    title = "Conflict"
    default_detail = "The state of the data does not allow this."


class DuplicateKey(Conflict):
    code = "duplicate_key"
    title = "Duplicate key"
    default_detail = "A document with this key, or this value of a unique field, exists already."


class KeyTaken(Conflict):
    code = "key_taken"
    title = "Key taken"
    default_detail = "Another user of this collection has this _key."


class IdempotencyInFlight(Conflict):
    code = "idempotency_in_flight"
    title = "Request in flight"
    default_detail = "The first request with this Idempotency-Key is still running."


class PreconditionFailed(CoglexError):
    code = "precondition_failed"
    title = "Precondition failed"
    default_detail = "The document is not in the state that the request requires."


class TooLarge(CoglexError):
    code = "too_large"
    title = "Too large"
    default_detail = "The request or its answer is too large."


class BodyTooLarge(TooLarge):
    code = "body_too_large"
    title = "Body too large"
    default_detail = "The request's body is larger than this server takes."


class DocumentTooLarge(TooLarge):
    code = "document_too_large"
    title = "Document too large"
    default_detail = "A document can be at most 16 MiB."


class FileTooLarge(TooLarge):
    code = "file_too_large"
    title = "File too large"
    default_detail = "The file is larger than this server takes."


class ResultTooLarge(TooLarge):
    code = "result_too_large"
    title = "Result too large"
    default_detail = "The answer would hold more than this server returns at once; ask for less."


class RangeNotSatisfiable(CoglexError):
    """``size`` is what there is, in bytes."""

    code = "range_not_satisfiable"
    title = "Range not satisfiable"
    default_detail = "The range begins after the end of the file."

    def __init__(self, detail: str | None = None, *, size: int = 0) -> None:
        super().__init__(detail)
        self.size = size


class UnsupportedType(CoglexError):
    code = "unsupported_media_type"
    title = "Unsupported media type"
    default_detail = "Send the body as application/json in UTF-8."


class TypeNotAllowed(UnsupportedType):
    code = "type_not_allowed"
    title = "Type not allowed"
    default_detail = "Files of this type are not allowed here."


class TypeMismatch(UnsupportedType):
    code = "type_mismatch"
    title = "Type mismatch"
    default_detail = "The file's content is not of the type that its name says."


class Unprocessable(CoglexError):
    code = "unprocessable"
    title = "Unprocessable"
    default_detail = "The request is well formed but cannot be carried out."


class DocumentRejected(Unprocessable):
    code = "document_rejected"
    title = "Document rejected"
    default_detail = "The document breaks a rule that the operator set on this collection."


class WeakPassword(Unprocessable):
    code = "weak_password"
    title = "Weak password"
    default_detail = "The password is too easy to guess."


class MalwareDetected(Unprocessable):
    code = "malware_detected"
    title = "Malware detected"
    default_detail = "The file contains malware."


class QuotaExceeded(Unprocessable):
    code = "quota_exceeded"
    title = "Quota exceeded"
    default_detail = "This API key holds as many files, or bytes, as it may."


class IdempotencyKeyReused(Unprocessable):
    code = "idempotency_key_reused"
    title = "Idempotency key reused"
    default_detail = "This Idempotency-Key was used with another body."


class RetryLater(CoglexError):
    """Base of the errors that say when to come back; ``retry_after`` is in seconds."""

    def __init__(
        self,
        detail: str | None = None,
        *,
        retry_after: int = 1,
        errors: Iterable[FieldError] = (),
    ) -> None:
        super().__init__(detail, errors=errors)
        self.retry_after = retry_after


class RateLimited(RetryLater):
    code = "rate_limited"
    title = "Too many requests"
    default_detail = "Too many requests; try again later."


class Unavailable(RetryLater):
    code = "unavailable"
    title = "Service unavailable"
    default_detail = "A part of the service does not answer; try again."


class DatabaseUnavailable(Unavailable):
    code = "database_unavailable"
    title = "Database unavailable"
    default_detail = "The database does not answer; try again."


class CacheUnavailable(Unavailable):
    code = "cache_unavailable"
    title = "Cache unavailable"
    default_detail = "The cache, which counts requests, does not answer; try again."


class TransactionsUnavailable(Unavailable):
    code = "transactions_unavailable"
    title = "Transactions unavailable"
    default_detail = (
        "This operation needs a transaction, and the MongoDB behind this server is a standalone; "
        "it must be a replica set."
    )


class PaymentsNotConfigured(Unavailable):
    code = "payments_not_configured"
    title = "Payments not configured"
    default_detail = "Payments are not set up on this server."


class ScannerUnavailable(Unavailable):
    code = "scanner_unavailable"
    title = "Scanner unavailable"
    default_detail = "The file could not be scanned for malware; try again."


class ScanRefused(ScannerUnavailable):
    code = "scan_refused"
    title = "Scan refused"
    default_detail = "The scanner did not take this file; it may be too large for it."


class StorageFull(Unavailable):
    code = "storage_full"
    title = "Storage full"
    default_detail = "There is no space left for this file."


class StoreUnavailable(Unavailable):
    code = "store_unavailable"
    title = "Store unavailable"
    default_detail = "The store of the files does not answer; try again."


class ModuleUnavailable(Unavailable):
    code = "module_unavailable"
    title = "Module unavailable"
    default_detail = "This module could not be loaded."


class StripeUnavailable(CoglexError):
    code = "stripe_unavailable"
    title = "Stripe unavailable"
    default_detail = "Stripe does not answer; try again with the same Idempotency-Key."


class QueryTimeout(CoglexError):
    code = "query_timeout"
    title = "Query timeout"
    default_detail = "The database operation took longer than its time limit."


class below:  # noqa: N801 - reads as the statement it is
    """Context manager: the pointers of errors raised inside lead below ``prefix``."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, CoglexError):
            error.under(self.prefix)


class parameter:  # noqa: N801
    """Context manager: errors raised inside lie in the query parameter ``name``."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, CoglexError):
            error.within(self.name)
