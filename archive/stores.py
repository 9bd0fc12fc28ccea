"""Where the bytes are: Django storages for the disk, GridFS and S3, under the alias ``archive``.

``STORAGES["archive"]`` chooses one; ``archive.services`` uses nothing but Django's Storage API:
save, open (from any position), delete, exists, listdir. A file's name in a store is made of its id
alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from django.core.files import File
from django.core.files.storage import FileSystemStorage, Storage, storages

from archive.drafts import Draft, DraftFile, full_disk, incoming, is_under_way
from core.data import gridfs
from core.errors import StoreUnavailable

BLOCK = 256 * 1024


def store() -> Storage:
    """The storage of the archive."""
    return storages["archive"]


def stored_name(file_id: str) -> str:
    """Where a file is in the store: 256 directories keep each of them small."""
    return f"{file_id[-2:]}/{file_id}"


def keep(draft: Draft) -> None:
    """Put a draft's bytes into the store; on the disk, it is moved there."""
    with DraftFile(draft) as file, full_disk():
        store().save(stored_name(draft.id), file)


def open_stored(file_id: str) -> IO[bytes]:
    """The bytes of a file; raises FileNotFoundError, StoreUnavailable or DatabaseUnavailable."""
    return cast("IO[bytes]", store().open(stored_name(file_id)))


class Blocks:
    """So many bytes of an open file, block by block; whoever iterates closes it, also unread."""

    def __init__(self, file: IO[bytes], start: int, length: int) -> None:
        self._file = file
        self._left = length
        file.seek(start)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        block = self._file.read(min(BLOCK, self._left)) if self._left > 0 else b""
        if not block:
            self.close()
            raise StopIteration
        self._left -= len(block)
        return block

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def remove(file_id: str) -> None:
    """Remove a file's bytes, if they are there."""
    store().delete(stored_name(file_id))


def is_stored(file_id: str) -> bool:
    """Whether the store has a file's bytes."""
    return store().exists(stored_name(file_id))


def stored_ids() -> Iterator[str]:
    """The ids of all files whose bytes are in the store, directory by directory."""
    found = store()
    try:
        directories, _ = found.listdir("")
    except FileNotFoundError:
        return
    for directory in sorted(directories):
        _, names = found.listdir(directory)
        for name in sorted(names):
            if stored_name(name) == f"{directory}/{name}":
                yield name


def is_being_kept(file_id: str) -> bool:
    """Whether a living process is about to make the record of these bytes."""
    draft = incoming() / file_id
    found = store()
    at = Path(found.path(stored_name(file_id))) if isinstance(found, DiskStore) else draft
    return is_under_way(at) or is_under_way(draft)


class DiskStore(FileSystemStorage):
    """Files below one directory, each there whole and for good, or not at all."""

    def _save(self, name: str, content: File[Any]) -> str:
        # Django moves a file that is on the disk already: one atomic rename.
        saved: str = super()._save(name, content)  # type: ignore[misc]
        directory = Path(self.path(saved)).parent
        for each in (directory, directory.parent):
            _sync(each)
        return saved


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class GridFSStore(Storage):
    """Files in the internal MongoDB database."""

    def _open(self, name: str, mode: str = "rb") -> File[bytes]:
        return File(cast("IO[bytes]", gridfs.open_file(name)), name)

    def _save(self, name: str, content: File[Any]) -> str:
        gridfs.save(name, content.chunks(BLOCK))
        return name

    def exists(self, name: str) -> bool:
        return gridfs.exists(name)

    def delete(self, name: str) -> None:
        gridfs.delete(name)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        if path:
            return [], [name.removeprefix(f"{path}/") for name in gridfs.names(f"{path}/")]
        return sorted({name.partition("/")[0] for name in gridfs.names() if "/" in name}), []


if TYPE_CHECKING:
    _S3Storage = Storage
else:
    try:
        from storages.backends.s3 import S3Storage as _S3Storage
    except ImportError:
        _S3Storage = Storage


@contextmanager
def _s3() -> Iterator[None]:
    """Turn what boto3 raises into FileNotFoundError or StoreUnavailable."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in {"404", "NoSuchKey"}:
            raise FileNotFoundError from None
        raise StoreUnavailable(retry_after=5) from error
    except (BotoCoreError, Boto3Error) as error:
        raise StoreUnavailable(retry_after=5) from error


class S3Store(_S3Storage):
    """Files in a bucket of an S3-compatible store, by django-storages; read from any position."""

    def _open(self, name: str, mode: str = "rb") -> File[bytes]:
        # django-storages would download the whole file first.
        with _s3():
            found = self._object(name)
            size = found.content_length
        return File(cast("IO[bytes]", _S3Reader(found, size)), name)

    def _object(self, name: str) -> Any:
        whole: Any = self
        return whole.bucket.Object(whole._normalize_name(name))  # noqa: SLF001

    def _save(self, name: str, content: File[Any]) -> str:
        with _s3():
            saved: str = super()._save(name, content)  # type: ignore[misc]
        return saved

    def exists(self, name: str) -> bool:
        with _s3():
            return super().exists(name)

    def delete(self, name: str) -> None:
        with _s3():
            super().delete(name)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        with _s3():
            return super().listdir(path)

    def presigned_url(self, name: str, *, content_type: str, disposition: str) -> str:
        """An address that serves the file for five minutes, without us."""
        whole: Any = self
        parameters = {
            "ResponseContentType": content_type,
            "ResponseContentDisposition": disposition,
        }
        with _s3():
            return str(whole.url(name, parameters=parameters, expire=300))


class _S3Reader:
    """One object, as a file that is read forward from wherever it is put."""

    def __init__(self, found: Any, size: int) -> None:
        self._object = found
        self._size = size
        self._at = 0
        self._body: Any = None
        self.closed = False

    def seek(self, position: int, whence: int = 0) -> int:
        self._drop()
        self._at = position + (self._at if whence == 1 else self._size if whence == 2 else 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        if self._at >= self._size:
            return b""
        with _s3():
            if self._body is None:
                self._body = self._object.get(Range=f"bytes={self._at}-")["Body"]
            data: bytes = self._body.read(None if size < 0 else size)
        self._at += len(data)
        return data

    def close(self) -> None:
        self._drop()
        self.closed = True

    def _drop(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None
