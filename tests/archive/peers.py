"""Raw HTTP for tests and measurements: requests of any shape, bodies as large as they need be."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable

from tests.processes import SECRET

UPLOAD = "/service/archive/v1/upload/"
_START = (
    b'--bound\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n"
)
_END = b"\r\n--bound--\r\n"


def body(content: bytes, filename: bytes = b"a.bin") -> bytes:
    """A whole form with one file."""
    return _START % filename + content + _END


class Connection:
    """One connection to a server."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self._reader = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._reader.close()
        self.socket.close()

    def send(self, method: str, path: str, *headers: str) -> None:
        """Send the head of a request; its body, if it has one, comes after."""
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"X-API-Key: {SECRET}", *headers]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def upload(self, chunks: Iterable[bytes], size: int, filename: bytes = b"a.bin"):
        """Upload a file of ``size`` bytes; returns status and the answer's JSON."""
        start = _START % filename
        self.start_upload(f"Content-Length: {len(start) + size + len(_END)}")
        self.socket.sendall(start)
        for chunk in chunks:
            self.socket.sendall(chunk)
        self.socket.sendall(_END)
        return self.answer()

    def start_upload(self, *headers: str) -> None:
        self.send("POST", UPLOAD, "Content-Type: multipart/form-data; boundary=bound", *headers)

    def head(self):
        """Status and headers of the next answer."""
        status = int(self._reader.readline().split()[1])
        headers = {}
        while line := self._reader.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return status, headers

    def answer(self):
        """Status and JSON of the next answer."""
        status, headers = self.head()
        raw = self._reader.read(int(headers["content-length"]))
        return status, json.loads(raw) if raw else None

    def blocks(self, size: int):
        """The bytes of an answer's body, as they come."""
        while size:
            block = self._reader.read1(min(size, 1 << 20))
            assert block, "the answer ended early"
            size -= len(block)
            yield block
