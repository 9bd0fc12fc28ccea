"""Collections to files and back: a document a line, in Extended JSON, compressed if ``.gz``.

Called by `manage.py export` and `manage.py import`. Memory does not grow with the documents. What
breaks off goes on where it was: beside the file is kept how far it got. An export is no snapshot:
each document is whole, but the collection may change meanwhile.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, cast

from core import audit
from core.data import collections
from core.data.compiler import compile_filter
from core.data.documents import new_key
from core.data.encoding import dumps, dumps_exact, loads, loads_exact
from core.data.names import check_collection
from core.data.pages import compiled
from core.errors import Conflict, DuplicateKey, InvalidDocument, InvalidInput
from storage import operations

Seen = Callable[[int], None]
Policy = Literal["fail", "skip", "replace"]

SUFFIXES = (".ndjson", ".ndjson.gz")
# How far it got is written down after so many documents.
_CHECKPOINT = 20_000
_BATCH, _BATCH_BYTES = 1000, 8 * 1024 * 1024
# A document of 16 MiB, each byte of it escaped.
_MAX_LINE = 100 * 1024 * 1024
_LEVEL = 3


@dataclass(slots=True)
class Imported:
    """What became of the lines of a file."""

    inserted: int = 0
    unchanged: int = 0
    replaced: int = 0
    skipped: int = 0
    resumed_after: int = 0
    indexes: int = 0


def _ignore(_: int) -> None:
    return None


def export_to(
    stream: IO[bytes], *, collection: str, query: object = None, by: str, seen: Seen = _ignore
) -> int:
    """Write the documents that match, in the order of their keys; returns how many."""
    chosen = compiled("query", compile_filter, query)
    check_collection(collection)
    count = 0
    for found in collections.read_all(collection, chosen):
        stream.write(_lines(found))
        count += len(found)
        seen(count)
    audit.record("storage.export", principal=by, target=collection, documents=count)
    return count


def _lines(found: list[dict[str, Any]]) -> bytes:
    return b"".join([dumps_exact(document) + b"\n" for document in found])


def export_file(
    path: Path,
    *,
    collection: str,
    by: str,
    query: object = None,
    resume: bool = False,
    overwrite: bool = False,
    seen: Seen = _ignore,
) -> int:
    """Write a collection into a file, and its indexes beside it; returns how many documents.

    Until it is complete the file is called ``.partial``. Raises Conflict where there is a file,
    or a part of one, and neither ``resume`` nor ``overwrite``.
    """
    chosen = compiled("query", compile_filter, query)
    check_collection(collection)
    place = _Place(path, {"collection": collection, "query": query})
    begun = place.begun(resume=resume, overwrite=overwrite)
    count: int = begun["documents"]
    with place.part.open("r+b" if count else "wb") as file:
        file.truncate(begun["bytes"])
        file.seek(begun["bytes"])
        after = loads_exact(begun["after"].encode())
        pages = collections.read_all(collection, chosen, after=after, resumes=count > 0)
        for some in _gathered(pages):
            file.write(place.compressed(_lines(some)))
            count += len(some)
            _sync(file)
            place.note(after=some[-1]["_id"], size=file.tell(), documents=count)
            seen(count)
        _sync(file)
    _write_whole(_indexes_of(path), dumps_exact(_definitions(collection)))
    place.complete()
    audit.record("storage.export", principal=by, target=collection, documents=count)
    return count


class _Place:
    """A file that is being written, the part that is there, and how far it got."""

    def __init__(self, path: Path, about: dict[str, object]) -> None:
        self.path, self._about = path, about
        self.part = _beside(path, "partial")
        self._progress = _beside(path, "progress")

    def begun(self, *, resume: bool, overwrite: bool) -> dict[str, Any]:
        """How far an earlier export got, or the beginning; raises Conflict."""
        if resume and self._progress.exists() and self.part.exists():
            found = cast("dict[str, Any]", loads(self._progress.read_bytes()))
            if {name: found[name] for name in self._about} != self._about:
                raise Conflict(f"{self.part} is of another collection or query.")
            return found
        if not overwrite and self.path.exists():
            raise Conflict(f"{self.path} is there already: choose another, or --overwrite.")
        if not (overwrite or resume) and self.part.exists():
            raise Conflict(f"{self.part} is of an export that broke off: --resume, or --overwrite.")
        return {"after": "null", "bytes": 0, "documents": 0}

    def compressed(self, lines: bytes) -> bytes:
        """Each time a stream of its own: gzip reads them as one, and can be cut between them."""
        return gzip.compress(lines, _LEVEL, mtime=0) if self.path.name.endswith(".gz") else lines

    def note(self, *, after: object, size: int, documents: int) -> None:
        """Write down how far it is."""
        known = {"after": dumps_exact(after).decode(), "bytes": size, "documents": documents}
        _write_whole(self._progress, dumps({**self._about, **known}))

    def complete(self) -> None:
        """Give the file its name."""
        self.part.replace(self.path)
        self._progress.unlink(missing_ok=True)


def _gathered(pages: Iterator[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    """Pages joined up to a checkpoint."""
    held: list[dict[str, Any]] = []
    for page in pages:
        held += page
        if len(held) >= _CHECKPOINT:
            yield held
            held = []
    if held:
        yield held


def _definitions(collection: str) -> list[dict[str, Any]]:
    return [
        {"name": index["name"], "keys": index["keys"], "options": index["options"]}
        for index in collections.list_indexes(collection)
        if index["name"] != "_id_"
    ]


def import_file(
    path: Path,
    *,
    collection: str,
    by: str,
    on_conflict: Policy = "fail",
    resume: bool = False,
    indexes: bool = True,
    seen: Seen = _ignore,
) -> Imported:
    """Insert the documents of a file, then make the indexes that are kept beside it.

    A document that is stored just so already is unchanged, so that the same file can be imported
    again; ``on_conflict`` says what happens where another one has its key. Raises InvalidDocument
    with the line, DuplicateKey, and Conflict.
    """
    check_collection(collection)
    progress = _beside(path, f"import-{collection}.progress")
    done = Imported()
    if resume and progress.exists():
        done.resumed_after = int(progress.read_bytes())
    with _opened(path) as file:
        for number, some in _batches(file, done.resumed_after):
            _write(collection, some, on_conflict, done)
            seen(number)
            if number % _CHECKPOINT == 0:
                _write_whole(progress, str(number).encode())
    progress.unlink(missing_ok=True)
    if indexes and (beside := _indexes_of(path)).exists():
        done.indexes = _make_indexes(collection, beside)
    _note_import(collection, by, done)
    return done


def import_from(
    stream: IO[bytes], *, collection: str, by: str, on_conflict: Policy = "fail"
) -> Imported:
    """The same from a stream, which has nothing beside it."""
    check_collection(collection)
    done = Imported()
    for _, some in _batches(stream, 0):
        _write(collection, some, on_conflict, done)
    _note_import(collection, by, done)
    return done


def _note_import(collection: str, by: str, done: Imported) -> None:
    audit.record(
        "storage.import",
        principal=by,
        target=collection,
        inserted=done.inserted,
        replaced=done.replaced,
        indexes=done.indexes,
    )


def _batches(file: IO[bytes], skipped: int) -> Iterator[tuple[int, list[bytes]]]:
    """Documents as BSON, some at a time, and the number of the last line."""
    held: list[bytes] = []
    size = number = 0
    while line := file.readline(_MAX_LINE):
        number += 1
        if number <= skipped:
            continue
        if line.strip():
            held.append(_document(line, number))
            size += len(held[-1])
        if len(held) >= _BATCH or size >= _BATCH_BYTES or number % _CHECKPOINT == 0:
            yield number, held
            held, size = [], 0
    yield number, held


def _document(line: bytes, number: int) -> bytes:
    try:
        document = loads_exact(line)
        if not isinstance(document, dict):
            raise InvalidDocument("A document must be an object.")
        return collections.encode(document if "_id" in document else {"_id": new_key(), **document})
    except InvalidDocument as error:
        raise InvalidDocument(f"Line {number}: {error.detail}") from None


def _write(collection: str, some: list[bytes], on_conflict: Policy, done: Imported) -> None:
    if not some:
        return
    inserted, taken = collections.write_all(collection, some)
    done.inserted += inserted
    if not taken:
        return
    different = collections.differing(collection, taken)
    done.unchanged += len(taken) - len(different)
    if different and on_conflict == "fail":
        raise DuplicateKey(
            f"{len(different)} documents have keys that others have: choose --on-conflict skip "
            "or --on-conflict replace."
        )
    if on_conflict == "replace":
        collections.replace_all(collection, different)
        done.replaced += len(different)
    else:
        done.skipped += len(different)


def _make_indexes(collection: str, path: Path) -> int:
    definitions = cast("list[dict[str, Any]]", loads_exact(path.read_bytes()))
    for each in definitions:
        keys = [(field, kind) for field, kind in each["keys"]]
        operations.check_index(keys)
        collections.create_index(collection, keys, {**each["options"], "name": each["name"]})
    return len(definitions)


def files_in(directory: Path) -> list[tuple[str, Path]]:
    """The exports in a directory, each with the collection that it is called by."""
    found = sorted(
        (name_of(path), path) for path in directory.iterdir() if path.name.endswith(SUFFIXES)
    )
    if not found:
        raise InvalidInput(f"There are no files in {directory} that end in .ndjson or .ndjson.gz.")
    return found


def name_of(path: Path) -> str:
    """What a file is called without its suffixes."""
    return path.name.removesuffix(".gz").removesuffix(".ndjson")


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}.{suffix}")


def _indexes_of(path: Path) -> Path:
    return path.with_name(f"{name_of(path)}.indexes.json")


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """A file for reading; raises InvalidInput where it cannot be read."""
    try:
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
            yield cast("IO[bytes]", file)
    except (OSError, EOFError) as error:
        raise InvalidInput(f"Cannot read {path}: {error}.") from None


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _write_whole(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)
