"""Files in a bucket of an S3-compatible store; loaded only where COGLEX_ARCHIVE_STORE says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, cast

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files import File
from django.core.files.storage import Storage

from core.errors import StoreUnavailable

if TYPE_CHECKING:
    _S3Storage = Storage
else:
    from storages.backends.s3 import S3Storage as _S3Storage


@contextmanager
def _s3() -> Iterator[None]:
    """Turn what boto3 raises into FileNotFoundError or StoreUnavailable."""
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
