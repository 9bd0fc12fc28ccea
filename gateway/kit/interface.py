"""What modules may do with the services: documents, users, files, payments, audit.

A module makes one: ``coglex = Coglex(__name__)``. Values are plain: documents are dicts as they
are stored (dates are datetimes, and may be given so), keys are strings as in a path. Everything
goes through the services' own functions: the same checks, limits, errors (``core.errors``) and
audit as over REST, in the module's name. The database itself is not to be had from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, TypeVar

from accounts import operations as user_operations
from accounts import services as user_services
from archive import drafts, links
from archive import services as file_services
from core import audit
from core.data.client import in_transaction
from core.data.encoding import dumps, loads
from core.data.pages import Query
from core.errors import InvalidInput
from payments import services as payment_services
from payments import signals
from storage import services as document_services
from storage.batches import run_batch

Document = dict[str, Any]
Result = TypeVar("Result")
_CHUNK = 256 * 1024

__all__ = ["Coglex", "Documents", "Files", "Payments", "Trail", "Users", "signals"]


def _plain(value: object) -> object:
    """Python's values as a client would send them: dates and keys become Extended JSON."""
    return loads(dumps(value))


def _anything(_: str) -> None:
    """A module may touch every collection of clients' documents; its views say who calls it."""


@dataclass(frozen=True, slots=True)
class Documents:
    """The document store."""

    by: str

    def get(self, collection: str, key: str) -> Document:
        """The document of this key; raises DocumentNotFound."""
        return document_services.get_document(collection=collection, key=key).document

    def find(
        self,
        collection: str,
        query: Mapping[str, Any] | None = None,
        *,
        keys: Sequence[str] | None = None,
        sort: str | None = None,
        limit: int = 100,
        skip: int = 0,
    ) -> list[Document]:
        """At most 1,000 documents that match, with these fields only, sorted by ``-price,name``."""
        asked = Query(
            query=None if query is None else _plain(query),
            keys=None if keys is None else list(keys),
            sort=sort,
            limit=limit,
            skip=skip,
        )
        return document_services.list_documents(collection=collection, asked=asked).documents

    def each(self, collection: str, query: Mapping[str, Any] | None = None) -> Iterator[Document]:
        """Every document that matches, by ``_id``, read in pages."""
        plain, after = (None if query is None else _plain(query)), None
        while True:
            asked = Query(query=plain, limit=1000, after=after)
            page = document_services.list_documents(collection=collection, asked=asked)
            yield from page.documents
            if (after := page.next) is None:
                return

    def count(self, collection: str, query: Mapping[str, Any] | None = None) -> int:
        """How many match."""
        plain = None if query is None else _plain(query)
        return document_services.count_documents(collection=collection, query=plain)

    def insert(self, collection: str, document: Mapping[str, Any]) -> str:
        """Insert one; returns its key. Raises DuplicateKey."""
        new = _plain(document)
        return str(
            document_services.insert_document(collection=collection, document=new)["inserted_id"]
        )

    def put(self, collection: str, key: str, document: Mapping[str, Any]) -> bool:
        """Replace the document of this key, or create it; whether it was created."""
        return document_services.put_document(
            collection=collection, key=key, document=_plain(document)
        )[1]

    def update(self, collection: str, key: str, update: Mapping[str, Any]) -> bool:
        """Apply update operators, or set fields; whether that changed anything."""
        done = document_services.update_document(
            collection=collection, key=key, update=_plain(update)
        )
        return bool(done["modified_count"])

    def update_all(
        self, collection: str, query: Mapping[str, Any], update: Mapping[str, Any]
    ) -> int:
        """The same for all that match; returns how many did, changed or not."""
        done = document_services.update_documents(
            collection=collection, query=_plain(query), update=_plain(update), principal=self.by
        )
        return int(done["matched_count"])

    def delete(self, collection: str, key: str) -> None:
        """Delete one; raises DocumentNotFound."""
        document_services.delete_document(collection=collection, key=key)

    def delete_all(self, collection: str, query: Mapping[str, Any]) -> int:
        """Delete all that match; returns how many."""
        done = document_services.delete_documents(
            collection=collection, query=_plain(query), principal=self.by
        )
        return int(done["deleted_count"])

    def aggregate(self, collection: str, pipeline: Sequence[Mapping[str, Any]]) -> list[Document]:
        """The results of a pipeline of the stages that REST allows."""
        return document_services.aggregate_documents(
            collection=collection, pipeline=_plain(list(pipeline)), check_read=_anything
        )

    def batch(self, operations: Sequence[Mapping[str, Any]]) -> list[object]:
        """A batch as over REST: all or none."""
        return run_batch(
            operations=_plain(list(operations)), check_write=_anything, principal=self.by
        )

    def transaction(self, work: Callable[[], Result]) -> Result:
        """Run ``work`` in one transaction: what it raises undoes all that it wrote.

        It may be run several times before that commits, and has ``COGLEX_QUERY_TIMEOUT_MS``.
        """
        return in_transaction(work)


@dataclass(frozen=True, slots=True)
class Users:
    """Users of applications; who is signed in, views learn from ``signed_in_user``."""

    by: str

    def get(self, collection: str, key: str) -> Document:
        """The user document of this ``_key`` or ``_id``; raises UserNotFound."""
        found = user_operations.find_id(collection=collection, key=key)
        user: Document = user_operations.get_user(collection=collection, user_id=found)["user"]
        return user

    def find(
        self,
        collection: str,
        query: Mapping[str, Any] | None = None,
        *,
        limit: int = 100,
        skip: int = 0,
    ) -> list[Document]:
        """At most 1,000 user documents that match; the oldest first."""
        found = user_operations.list_users(
            collection=collection,
            query=None if query is None else _plain(query),
            limit=limit,
            skip=skip,
        )
        return [each["user"] for each in found]

    def sign_up(
        self, collection: str, key: str, password: str, document: Mapping[str, Any] | None = None
    ) -> Document:
        """Make a user; returns the user document. Raises KeyTaken, WeakPassword."""
        return user_services.sign_up(
            collection=collection,
            key=key,
            password=password,
            document=_plain(document or {}),
            principal=self.by,
        )

    def set_fields(self, collection: str, user_id: str, document: Mapping[str, Any]) -> None:
        """Set fields of the user document; raises UserNotFound, ReservedField."""
        user_operations.set_fields(
            collection=collection, user_id=user_id, document=_plain(document), by=self.by
        )

    def disable(self, collection: str, user_id: str) -> None:
        """Let nobody in as this user; sessions end at once."""
        user_operations.disable_user(collection=collection, user_id=user_id, by=self.by)

    def enable(self, collection: str, user_id: str) -> None:
        """Let the user sign in again."""
        user_operations.enable_user(collection=collection, user_id=user_id, by=self.by)

    def end_sessions(self, collection: str, user_id: str) -> int:
        """End all sessions of the user; returns how many."""
        return user_operations.end_sessions(collection=collection, user_id=user_id, by=self.by)


@dataclass(frozen=True, slots=True)
class Files:
    """The archive."""

    by: str

    def get(self, file_id: str) -> Document:
        """A file's record; raises StoredFileNotFound."""
        return file_services.get_file(file_id=file_id)

    def find(
        self, query: Mapping[str, Any] | None = None, *, limit: int = 100, skip: int = 0
    ) -> list[Document]:
        """At most 1,000 records that match; the newest first."""
        plain = None if query is None else _plain(query)
        return file_services.list_files(asked=Query(query=plain, limit=limit, skip=skip)).documents

    def open(self, file_id: str) -> IO[bytes]:
        """The bytes of a file, to be closed; raises as a download does."""
        return file_services.open_file(file_services.get_file(file_id=file_id))

    def save(
        self, source: IO[bytes], filename: str, metadata: Mapping[str, Any] | None = None
    ) -> Document:
        """Keep what ``source`` has from where it stands, checked as an upload is; the record."""
        with drafts.new_draft() as draft:
            while chunk := source.read(_CHUNK):
                draft.write(chunk)
            with file_services.checked_file(
                draft=draft,
                filename=filename,
                metadata=_plain(metadata or {}),
                principal=self.by,
            ) as record:
                return file_services.add_file(record, principal=self.by)

    def delete(self, file_id: str) -> Document:
        """Delete a file; its record as it was."""
        return file_services.delete_file(file_id=file_id, principal=self.by)

    def link(self, file_id: str, *, expires_in: int, disposition: str = "attachment") -> str:
        """A signed address that is good for so many seconds."""
        made = links.make_link(
            file_id=file_id, expires_in=expires_in, disposition=disposition, principal=self.by
        )
        return str(made["url"])


@dataclass(frozen=True, slots=True)
class Payments:
    """Payments; Stripe's events reach modules as ``signals`` of this module."""

    by: str

    def status(
        self,
        *,
        email: str | None = None,
        customer: str | None = None,
        subscription: str | None = None,
        refresh: bool = False,
    ) -> Document:
        """``{"customer", "status", "subscriptions", "synced_at"}`` by one of the three."""
        named = {"email": email, "customer": customer, "subscription": subscription}
        given = [(name, value) for name, value in named.items() if value is not None]
        if len(given) != 1:
            raise InvalidInput("Say one of email, customer and subscription.")
        ((field, value),) = given
        return payment_services.subscription_status(field=field, value=value, refresh=refresh)

    def checkout(
        self, body: Mapping[str, Any], *, user: Document | None = None, once: str | None = None
    ) -> Document:
        """Stripe's Checkout Session for a body as over REST; the same for the same ``once``."""
        return payment_services.create_checkout(
            body=_plain(body),
            user=user,
            request_key=payment_services.request_key(self.by, "checkout", once),
            principal=self.by,
        )


@dataclass(frozen=True, slots=True)
class Trail:
    """The audit."""

    by: str

    def record(
        self,
        action: str,
        *,
        target: str,
        principal: str | None = None,
        outcome: str = "success",
        **details: object,
    ) -> None:
        """Write an entry, ``gateway.<module>.<action>``; details hold names and counts only."""
        family = self.by.replace(":", ".")
        audit.record(
            f"{family}.{action}",
            principal=principal or self.by,
            target=target,
            outcome=outcome,
            **details,
        )


class Coglex:
    """The services, for one module: ``Coglex(__name__)`` in any file of it."""

    def __init__(self, module: str) -> None:
        parts = module.split(".")
        if parts[0] != "gateway" or len(parts) < 2:
            raise ValueError("Coglex(__name__) is for the modules of the gateway.")
        self.by = f"gateway:{parts[1]}"
        self.documents = Documents(self.by)
        self.users = Users(self.by)
        self.files = Files(self.by)
        self.payments = Payments(self.by)
        self.audit = Trail(self.by)
