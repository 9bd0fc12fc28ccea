"""Files in the internal MongoDB database; loaded only where COGLEX_ARCHIVE_STORE says so."""

from __future__ import annotations

from typing import IO, Any, cast

from django.core.files import File
from django.core.files.storage import Storage

from archive.stores import BLOCK
from core.data import gridfs


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
