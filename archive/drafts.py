"""Files under way: written to the disk, hashed and measured, before anything knows of them.

Called by ``archive.uploads`` and ``archive.operations``. Whoever writes a draft holds a lock on
it, which the kernel releases however the process ends: what is not locked was left behind. A
rename keeps the lock, so that a file in the store is known to be under way until its record is
there.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.files import File

from core.data.documents import new_key
from core.errors import FileTooLarge, StorageFull

if TYPE_CHECKING:
    _File = File[bytes]
else:
    _File = File

_SPACE_EVERY = 8 * 1024 * 1024
_MOST_KEPT_FREE = 256 * 1024 * 1024
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Draft:
    """A file under way; ``id`` will be the file's."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.id = path.name
        self.path = path
        self.size = 0
        self._descriptor = descriptor
        self._digest = sha256()
        self._check_space_at = 0

    @property
    def sha256(self) -> str:
        """The digest of what was written, in hexadecimal."""
        return self._digest.hexdigest()

    def write(self, chunk: bytes) -> None:
        """Append; raises FileTooLarge or StorageFull."""
        if self.size + len(chunk) > settings.COGLEX_ARCHIVE_MAX_BYTES:
            raise FileTooLarge(
                f"The file is larger than {settings.COGLEX_ARCHIVE_MAX_BYTES} bytes."
            )
        if self.size >= self._check_space_at:
            require_space(self.path.parent, _SPACE_EVERY if self.size else len(chunk))
            self._check_space_at = self.size + _SPACE_EVERY
        left = memoryview(chunk)
        with full_disk():
            while left:
                left = left[os.write(self._descriptor, left) :]
        self._digest.update(chunk)
        self.size += len(chunk)

    def flush(self) -> None:
        """See to it that the bytes are on the disk."""
        with full_disk():
            os.fsync(self._descriptor)


class DraftFile(_File):
    """A draft as Django's storages take files; those on the disk move it instead of copying."""

    def __init__(self, draft: Draft) -> None:
        super().__init__(draft.path.open("rb"), name=draft.id)
        self._path = str(draft.path)

    def temporary_file_path(self) -> str:
        """Where the bytes are."""
        return self._path


@contextmanager
def new_draft() -> Iterator[Draft]:
    """A draft for as long as the block runs; what was not moved away is removed at its end."""
    directory = incoming()
    with full_disk():
        # Those above, which mkdir makes too, would be open to everybody on this machine.
        for each in (directory.parent, directory):
            each.mkdir(parents=True, exist_ok=True, mode=0o700)
    while True:
        path = directory / new_key()
        with full_disk():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        if _lock(descriptor) and path.exists():
            break
        os.close(descriptor)
    try:
        yield Draft(path, descriptor)
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def incoming() -> Path:
    """The directory of drafts; on the file system of the store on the disk."""
    return settings.COGLEX_ARCHIVE_DIR / "incoming"


def left_behind() -> list[str]:
    """The ids of drafts that nobody writes any more."""
    found = sorted(incoming().iterdir()) if incoming().is_dir() else []
    return [path.name for path in found if not is_under_way(path)]


def remove(draft_id: str) -> None:
    """Remove a draft that was left behind."""
    (incoming() / draft_id).unlink(missing_ok=True)


def is_under_way(path: Path) -> bool:
    """Whether a living process, on whatever machine shares the directory, holds the lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def require_space(directory: Path, wanted: int) -> None:
    """Raise StorageFull unless so many bytes fit beside what is kept free."""
    disk = os.statvfs(directory)
    free = disk.f_bavail * disk.f_frsize
    kept = settings.COGLEX_ARCHIVE_KEEP_FREE_BYTES
    if kept is None:
        kept = min(_MOST_KEPT_FREE, disk.f_blocks * disk.f_frsize // 20)
    if free - wanted < kept:
        raise StorageFull(retry_after=60)


@contextmanager
def full_disk() -> Iterator[None]:
    """Turn the system's ways to say that the disk is full into StorageFull."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(retry_after=60) from None
        raise
