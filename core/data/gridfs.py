"""Files in MongoDB's GridFS, in the internal database: named streams of bytes, nothing more.

Called by the archive's storage of that kind. Raises the errors of ``core.data.failures``, and
FileNotFoundError for a name that is not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import BinaryIO, cast

from gridfs import GridFSBucket, NoFile
from gridfs.synchronous.grid_file import GridOut

from core.data.client import internal, internal_database
from core.data.failures import translated

_BUCKET = "archive"
_CHUNK = 1024 * 1024


def _bucket() -> GridFSBucket:
    return GridFSBucket(internal_database(), bucket_name=_BUCKET, chunk_size_bytes=_CHUNK)


def save(name: str, chunks: Iterable[bytes]) -> None:
    """Keep a new file; on a failure nothing of it can be seen, and ``delete`` removes the rest."""
    with translated(), _bucket().open_upload_stream_with_id(name, name) as stream:
        for chunk in chunks:
            stream.write(chunk)


def open_file(name: str) -> BinaryIO:
    """A file to be read, from any position."""
    with translated():
        try:
            found = _bucket().open_download_stream(name)
        except NoFile:
            raise FileNotFoundError(name) from None
    return cast("BinaryIO", _Reader(found))


class _Reader:
    """GridFS's reader, with the errors of this layer."""

    def __init__(self, source: GridOut) -> None:
        self._source = source

    def read(self, size: int = -1) -> bytes:
        with translated():
            return bytes(self._source.read(size))

    def seek(self, position: int, whence: int = 0) -> int:
        with translated():
            return self._source.seek(position, whence)

    def tell(self) -> int:
        return self._source.tell()

    def close(self) -> None:
        self._source.close()

    @property
    def closed(self) -> bool:
        return self._source.closed


def exists(name: str) -> bool:
    """Whether the whole file is there."""
    with translated():
        return internal(f"{_BUCKET}.files").find_one({"_id": name}, {"_id": 1}) is not None


def delete(name: str) -> None:
    """Remove a file, or what a failure left of it."""
    with translated(), suppress(NoFile):
        _bucket().delete(name)


def names(prefix: str = "") -> list[str]:
    """The names of all files that begin so, whole or not; both looks are bounded by an index."""
    begins = {"$regex": f"^{re.escape(prefix)}"}
    with translated():
        whole = internal(f"{_BUCKET}.files").distinct("_id", {"_id": begins})
        parts = internal(f"{_BUCKET}.chunks").distinct("files_id", {"files_id": begins})
    return sorted({*whole, *parts})
