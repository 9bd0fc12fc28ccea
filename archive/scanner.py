"""ClamAV's daemon, by its INSTREAM command: every file passes it before it can be served.

Called by ``archive.services`` and ``archive.operations``. Whatever is not a clear answer counts as
no answer. Source: clamd(8).
"""

from __future__ import annotations

import re
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, cast
from urllib.parse import urlsplit

import structlog
from django.conf import settings

from core.errors import ScannerUnavailable, ScanRefused
from core.turns import waiting

log = structlog.get_logger("coglex.archive")

_CHUNK = 256 * 1024
_CONNECT_SECONDS = 5
_MAX_ANSWER = 4096
# clamd ends its answer as the command was ended, with NUL; some that speak its language do not.
_ENDS = (b"\0", b"\n")
_found = re.compile(rb"stream: ([\x20-\x7e]{1,500}) FOUND").fullmatch


def is_configured() -> bool:
    """Whether there is a scanner to be asked."""
    return bool(settings.COGLEX_CLAMD_URL)


def version() -> str:
    """What clamd says of itself: ``ClamAV 1.4.3/27512/Tue Jan 14 10:30:20 2026``.

    Raises ScannerUnavailable.
    """
    try:
        with _connected() as connection:
            connection.sendall(b"zVERSION\0")
            answer = _read(connection, time.monotonic() + _CONNECT_SECONDS)
    except OSError:
        raise ScannerUnavailable(retry_after=5) from None
    if not answer.startswith(b"ClamAV"):
        raise ScannerUnavailable("What listens there is not clamd.", retry_after=5)
    return answer.decode("ascii", "replace")


def scan(file: IO[bytes]) -> str | None:
    """The name of the malware in a file, or None when it is clean.

    Raises ScannerUnavailable when clamd cannot be reached, is too slow or says nothing that
    counts; ScanRefused when it declines this file.
    """
    try:
        with waiting():
            answer = _asked(file)
    except OSError as error:
        log.error("scanner_unavailable", error=type(error).__name__)
        raise ScannerUnavailable(retry_after=5) from None
    if answer == b"stream: OK":
        return None
    if found := _found(answer):
        return found.group(1).decode()
    log.error("scanner_answered", answer=answer[:200].decode("ascii", "replace"))
    if answer.endswith(b"ERROR"):
        raise ScanRefused(retry_after=60)
    raise ScannerUnavailable(retry_after=5)


def _asked(file: IO[bytes]) -> bytes:
    deadline = time.monotonic() + settings.COGLEX_CLAMD_TIMEOUT_SECONDS
    with _connected() as connection:

        def send(data: bytes) -> None:
            connection.settimeout(_left(deadline))
            connection.sendall(data)

        # clamd answers and hangs up in the middle of a file that is too large for it.
        with suppress(BrokenPipeError, ConnectionResetError):
            send(b"zINSTREAM\0")
            while chunk := file.read(_CHUNK):
                send(struct.pack(">I", len(chunk)) + chunk)
            send(struct.pack(">I", 0))
        return _read(connection, deadline)


def _read(connection: socket.socket, deadline: float) -> bytes:
    """An answer; empty where it is not whole."""
    answer = b""
    while not answer.endswith(_ENDS) and len(answer) <= _MAX_ANSWER:
        connection.settimeout(_left(deadline))
        received = connection.recv(_MAX_ANSWER)
        if not received:
            break
        answer += received
    return answer[:-1] if answer.endswith(_ENDS) else b""


@contextmanager
def _connected() -> Iterator[socket.socket]:
    url = urlsplit(settings.COGLEX_CLAMD_URL)
    if url.scheme == "unix":
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with connection:
            connection.settimeout(_CONNECT_SECONDS)
            connection.connect(url.path)
            yield connection
        return
    address = (cast("str", url.hostname), url.port or 3310)
    with socket.create_connection(address, timeout=_CONNECT_SECONDS) as connection:
        yield connection


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
