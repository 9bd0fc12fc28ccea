"""Where the bytes are: a Django storage under the alias ``archive``; the one on the disk is here.

``STORAGES["archive"]`` may choose GridFS or S3 instead; ``archive.services`` uses nothing but
Django's Storage API: save, open (from any position), delete, exists, listdir. A file's name in a
store is made of its id alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from django.core.files import File
from django.core.files.storage import FileSystemStorage, Storage, storages

from archive.drafts import Draft, DraftFile, full_disk, incoming, is_under_way

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
