"""Proofs of the archive: a file of 2 GiB, throughput, kills. Each says what it saw."""

from __future__ import annotations

import os
import random
import socket
import statistics
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from bench.proofs import told
from bench.usage import memory
from tests.archive.peers import Connection
from tests.archive.test_server import Peak, killed_once
from tests.processes import Served

MIB = 1 << 20
DOWNLOAD = "/service/archive/v1/download/"


def bigfile(served: Served) -> str:
    """2 GiB up and down: the worker's memory, the digest, 50 random ranges."""
    size = 2048 * MIB
    with tempfile.TemporaryFile() as original, Connection(served.port) as peer:
        for _ in range(2048):
            original.write(os.urandom(MIB))

        def chunks():
            original.seek(0)
            while chunk := original.read(MIB):
                yield chunk

        digest = sha256()
        for chunk in chunks():
            digest.update(chunk)
        for _ in range(5):
            _, small = peer.upload([os.urandom(MIB)], MIB)
            peer.send("GET", f"{DOWNLOAD}{small['_id']}/")
            for _ in peer.blocks(int(peer.head()[1]["content-length"])):
                pass
        before, peak = max(memory(served)), Peak(served)
        _, record = peer.upload(chunks(), size)
        got = sha256()
        peer.send("GET", f"{DOWNLOAD}{record['_id']}/")
        for block in peer.blocks(int(peer.head()[1]["content-length"])):
            got.update(block)
        right = 0
        for _ in range(50):
            first = random.randrange(size)
            last = min(first + random.randrange(8 * MIB), size - 1)
            peer.send("GET", f"{DOWNLOAD}{record['_id']}/", f"Range: bytes={first}-{last}")
            peer.head()
            part = b"".join(peer.blocks(last - first + 1))
            original.seek(first)
            right += part == original.read(last - first + 1)
        rise = (peak.stop() - before) / 1024
    same = digest.hexdigest() == record["sha256"] == got.hexdigest()
    return (
        f"memory rose by {rise:.1f} MiB (from {before // 1024}), SHA-256 agrees: {same}, "
        f"{right} of 50 ranges agree"
    )


def transfer(served: Served) -> str:
    """100 MiB down against a bare sendfile, and up against a plain write, in one run."""
    content = os.urandom(100 * MIB)
    with tempfile.TemporaryDirectory(dir=served.data_dir) as directory:
        path = Path(directory) / "plain"
        path.write_bytes(content)
        with Connection(served.port) as peer, _Sendfile(path) as bare:
            _, record = peer.upload([content], len(content))
            address = f"{DOWNLOAD}{record['_id']}/"
            down, sent = _alternately(lambda: _fetch(peer, address), bare.fetch, times=15)
            up, written = _alternately(
                lambda: _store(peer, content), lambda: _write(path, content), times=15
            )
    return (
        f"download {_rate(down)}, sendfile {_rate(sent)}: {sent / down:.0%}; "
        f"upload {_rate(up)}, plain write {_rate(written)}: {written / up:.0%}"
    )


def _rate(seconds: float) -> str:
    return f"{100 / seconds:.0f} MiB/s"


def _alternately(
    one: Callable[[], float], other: Callable[[], float], times: int
) -> tuple[float, float]:
    """The medians of both, measured in turn so that the machine's moods meet both."""
    pairs = [(one(), other()) for _ in range(times + 2)][2:]
    return statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs)


def _drained(connection: socket.socket, left: int, buffer: bytearray) -> None:
    while left:
        left -= connection.recv_into(buffer, min(left, len(buffer)))


def _fetch(peer: Connection, address: str) -> float:
    buffer = bytearray(MIB)
    started = time.perf_counter()
    peer.send("GET", address)
    head = peer.socket.recv_into(buffer)
    text = bytes(buffer[:head])
    at = text.index(b"\r\n\r\n") + 4
    _drained(peer.socket, 100 * MIB - (head - at), buffer)
    return time.perf_counter() - started


def _store(peer: Connection, content: bytes) -> float:
    started = time.perf_counter()
    status, record = peer.upload([content], len(content))
    spent = time.perf_counter() - started
    assert status == 201, record
    peer.send("DELETE", f"/service/archive/v1/delete/{record['_id']}/")
    peer.answer()
    return spent


def _write(path: Path, content: bytes) -> float:
    """What an upload cannot do without: the bytes on the disk, for good, and their digest."""
    target = path.with_name("written")
    started = time.perf_counter()
    digest = sha256()
    with target.open("wb", buffering=0) as file:
        for at in range(0, len(content), 256 * 1024):
            chunk = content[at : at + 256 * 1024]
            file.write(chunk)
            digest.update(chunk)
        os.fsync(file.fileno())
    spent = time.perf_counter() - started
    target.unlink()
    return spent


class _Sendfile:
    """A server that does nothing but ``sendfile``, in a process of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> _Sendfile:
        listening = socket.create_server(("127.0.0.1", 0))
        self._pid = os.fork()
        if not self._pid:
            self._serve(listening)
        self._socket = socket.create_connection(listening.getsockname())
        listening.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        os.waitpid(self._pid, 0)

    def _serve(self, listening: socket.socket) -> None:
        connection, _ = listening.accept()
        size = self._path.stat().st_size
        while connection.recv(65536):
            with self._path.open("rb") as file:
                at = 0
                while at < size:
                    at += os.sendfile(connection.fileno(), file.fileno(), at, size - at)
        os._exit(0)

    def fetch(self) -> float:
        buffer = bytearray(MIB)
        started = time.perf_counter()
        self._socket.sendall(b"GET\r\n\r\n")
        _drained(self._socket, 100 * MIB, buffer)
        return time.perf_counter() - started


def filekills(served: Served) -> str:
    """Kill the server 20 times under uploads and deletions; sweep; look at every file."""
    good, swept, acknowledged = 0, 0, 0
    with tempfile.TemporaryDirectory(prefix="coglex-kills-") as directory:
        for _ in range(20):
            found = killed_once(Path(directory) / "var")
            acknowledged = len(found.acknowledged)
            swept += len(found.swept["orphans"]) + len(found.swept["drafts"])
            good += (
                found.verified == 0
                and found.acknowledged <= found.whole
                and not found.deleted & found.whole
                and found.on_disk == found.whole
            )
    return (
        f"after {good} of 20 kills every acknowledged file was whole and all else gone; "
        f"{acknowledged} files at the end, {swept} remains swept"
    )


PROOFS = {
    "bigfile": told(bigfile, COGLEX_ARCHIVE_MAX_BYTES=str(2048 * MIB), WEB_WORKERS="1"),
    "transfer": told(transfer),
    "filekills": told(filekills),
}
