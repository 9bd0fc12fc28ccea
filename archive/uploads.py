"""Receiving an upload: a form with a file, read as it comes and written to the disk at once.

Called by the upload view. The form has the part ``file`` and may have the part ``metadata``; the
parser is strict and says when a form is cut short.
Source: RFC 7578.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.request import UnreadablePostError
from django.utils.http import parse_header_parameters
from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser

from archive.drafts import Draft, new_draft, require_space
from core.data.encoding import loads
from core.errors import (
    CoglexError,
    FileTooLarge,
    InvalidInput,
    InvalidMultipart,
    TooLarge,
    UnsupportedType,
    below,
)
from core.turns import waiting

CHUNK = 256 * 1024
MAX_METADATA = 1024 * 1024
# What is read of a body that is refused, so that its sender gets to see why.
_MAX_DRAINED = 64 * 1024 * 1024
_MAX_HEADER = 64 * 1024


@dataclass(slots=True)
class Received:
    """A whole form: the draft that holds the file, the name it was given, the metadata's JSON."""

    draft: Draft
    filename: str = ""
    raw_metadata: bytes | None = None

    @property
    def metadata(self) -> object:
        """The metadata's JSON value; an empty object when there was none."""
        if self.raw_metadata is None:
            return {}
        with below("/metadata"):
            return loads(self.raw_metadata)

    def fingerprint(self) -> bytes:
        """What an upload that is repeated has in common with the first."""
        name = sha256(self.filename.encode("utf-8", "surrogatepass")).hexdigest()
        metadata = sha256(self.raw_metadata or b"").hexdigest()
        return f"{self.draft.sha256} {name} {metadata}".encode()


@contextmanager
def receive(request: HttpRequest) -> Iterator[Received]:
    """Read the form; the draft is there for as long as the block runs.

    Raises UnsupportedType, InvalidMultipart, FileTooLarge, TooLarge, StorageFull.
    """
    boundary = _boundary(request)
    body = _Body(request, _announced(request))
    with waiting(), _refusals_heard(body):
        _check_length(body.length)
    with new_draft() as draft:
        with waiting(), _refusals_heard(body):
            require_space(draft.path.parent, body.length or 0)
            received = _received(body, boundary, draft)
        yield received


@contextmanager
def _refusals_heard(body: _Body) -> Iterator[None]:
    """Whoever is refused while sending is read from for a while, to get to see the answer."""
    try:
        yield
    except CoglexError:
        body.drain()
        raise


def _boundary(request: HttpRequest) -> str:
    kind, options = _parsed(request.META.get("CONTENT_TYPE", ""))
    if kind != "multipart/form-data":
        raise UnsupportedType("Send the file as multipart/form-data.")
    boundary = options.get("boundary", "")
    if not 1 <= len(boundary) <= 200 or not boundary.isascii() or not boundary.isprintable():
        raise InvalidMultipart("The Content-Type says no usable boundary.")
    return str(boundary)


def _announced(request: HttpRequest) -> int | None:
    """The length of the body; None where it comes in chunks."""
    announced = request.META.get("CONTENT_LENGTH") or None
    try:
        length = None if announced is None else int(announced)
    except ValueError:
        raise InvalidInput("Content-Length is not a number.") from None
    return length


def _check_length(length: int | None) -> None:
    largest = settings.COGLEX_ARCHIVE_MAX_BYTES
    if length is not None and length > largest + MAX_METADATA + 2 * _MAX_HEADER:
        raise FileTooLarge(f"The file is larger than {largest} bytes.")


class _Body:
    """The request's body: read once, up to the length that was announced."""

    def __init__(self, request: HttpRequest, length: int | None) -> None:
        self._request = request
        self.length = length
        self.count = 0

    def read(self, size: int) -> bytes:
        try:
            chunk: bytes = self._request.read(size)
        except (UnreadablePostError, OSError):
            raise InvalidMultipart("The body ended before its announced length.") from None
        self.count += len(chunk)
        if not chunk and self.length is not None and self.count != self.length:
            raise InvalidMultipart("The body ended before its announced length.")
        return chunk

    def end(self) -> None:
        """Read what may follow the form; raises InvalidMultipart when that does not end."""
        most = self.count + _MAX_HEADER
        while self.read(CHUNK):
            if self.count > most:
                raise InvalidMultipart("The body goes on after the end of the form.")

    def drain(self) -> None:
        """Read on, for a while; not from somebody who asked before sending anything."""
        asks = "100-continue" in self._request.META.get("HTTP_EXPECT", "").lower()
        if asks and not self.count:
            return
        most = self.count + _MAX_DRAINED
        with suppress(CoglexError):
            while self.count < most and self.read(CHUNK):
                pass


def _received(body: _Body, boundary: str, draft: Draft) -> Received:
    received = Received(draft)
    try:
        _Form(received).read(body, boundary)
    except ParserLimitReached:
        raise TooLarge("The form has more parts, or longer headers, than are read.") from None
    except MultipartError as error:
        raise InvalidMultipart(f"This is not a whole form: {error.args[0]}.") from None
    return received


class _Form:
    """The parts of a form, as they arrive."""

    def __init__(self, received: Received) -> None:
        self._received = received
        self._seen: set[str] = set()
        self._metadata = bytearray()

    def read(self, body: _Body, boundary: str) -> None:
        """Take all parts; the file's bytes go to the draft as they come."""
        parser = PushMultipartParser(
            boundary, max_header_size=_MAX_HEADER, max_segment_count=8, strict=True
        )
        take: Callable[[bytes], Any] = bytes
        for event in parser.parse_blocking(body.read, CHUNK):
            if isinstance(event, MultipartSegment):
                take = self._begin(event)
            elif event:
                take(bytes(event))
        body.end()
        if not self._received.filename and not self._received.draft.size:
            raise InvalidMultipart('The form has no part "file" with a file in it.')
        if "metadata" in self._seen:
            self._received.raw_metadata = bytes(self._metadata)

    def _begin(self, part: MultipartSegment) -> Callable[[bytes], Any]:
        """What takes the bytes of this part."""
        name, filename = _called(part)
        if name in self._seen:
            raise InvalidMultipart(f"The form has the part {name[:100]!r} twice.")
        self._seen.add(name)
        if name == "metadata":
            return self._take_metadata
        if name != "file":
            raise InvalidMultipart('The form may have the parts "file" and "metadata" only.')
        if filename is None:
            raise InvalidMultipart('The part "file" is no file: it has no filename.')
        self._received.filename = filename
        return self._received.draft.write

    def _take_metadata(self, chunk: bytes) -> None:
        if len(self._metadata) + len(chunk) > MAX_METADATA:
            raise TooLarge(f"The metadata is larger than {MAX_METADATA} bytes.")
        self._metadata += chunk


def _called(part: MultipartSegment) -> tuple[str, str | None]:
    """A part's name and its file's name; None where it is no file.

    Some clients write names as RFC 2231 does, although RFC 7578 asks them not to.
    """
    name = part.name or ""
    if "filename*" in (header := part.header("Content-Disposition") or ""):
        _, options = _parsed(header)
        return name, options.get("filename", part.filename)
    return name, part.filename


def _parsed(header: str) -> tuple[str, dict[str, str]]:
    try:
        return parse_header_parameters(header)
    except (ValueError, LookupError):
        raise InvalidMultipart("A header of the form is too long, or not readable.") from None
