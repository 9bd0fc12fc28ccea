"""The archive behind the real server: bodies of any shape, memory, a full disk, a killed process."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from bench.usage import memory
from tests.archive.peers import UPLOAD, Connection, body
from tests.processes import ROOT, SECRET, Served, environment, eventually

pytestmark = pytest.mark.slow
MIB = 1 << 20
LIST = "/service/archive/v1/list/"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    directory = tmp_path_factory.mktemp("served") / "var"
    running = Served(directory, COGLEX_ARCHIVE_MAX_BYTES=str(400 * MIB), WEB_WORKERS="1")
    yield running
    running.stop()


@pytest.fixture
def peer(served):
    with Connection(served.port) as connection:
        yield connection


def manage(data_dir, *args):
    ran = subprocess.run(
        [sys.executable, "manage.py", *args, "--json"],
        cwd=ROOT,
        env=environment(data_dir),
        capture_output=True,
        text=True,
        timeout=120,
    )
    return ran.returncode, json.loads(ran.stdout)


def kept(served):
    """What is on the disk: the names of all files in the archive."""
    return sorted(p.name for p in (served.data_dir / "archive").rglob("*") if p.is_file())


def names(served):
    found = served.http.get(served.url + LIST, params={"limit": 1000}).json()
    return sorted(record["_id"] for record in found)


def chunked(raw, size=1000):
    parts = [raw[at : at + size] for at in range(0, len(raw), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in parts) + b"0\r\n\r\n"


def test_a_body_in_chunks_without_a_length_is_taken(served, peer):
    content = os.urandom(300_000)
    peer.start_upload("Transfer-Encoding: chunked")
    peer.socket.sendall(chunked(body(content)))
    status, record = peer.answer()
    assert (status, record["sha256"]) == (201, sha256(content).hexdigest())


def test_a_body_in_chunks_is_measured_too(served, peer):
    before = kept(served)
    peer.start_upload("Transfer-Encoding: chunked")
    start = body(b"").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    peer.socket.sendall(b"%x\r\n%s\r\n" % (len(start), start))
    block = b"%x\r\n%s\r\n" % (MIB, b"\0" * MIB)
    for _ in range(402):
        peer.socket.sendall(block)
    peer.socket.sendall(b"0\r\n\r\n")
    status, problem = peer.answer()
    assert (status, problem["code"]) == (413, "file_too_large")
    assert kept(served) == before


@pytest.mark.parametrize("cut", [10, 200, 100_000, 250_000])
def test_a_body_that_is_cut_off_leaves_nothing(served, peer, cut):
    before, raw = kept(served), body(os.urandom(300_000))
    peer.start_upload(f"Content-Length: {len(raw)}")
    peer.socket.sendall(raw[:cut])
    # Something of it is on the disk, unless all of it was the head of the form.
    if cut > 1000:
        eventually(lambda: kept(served) != before)
    peer.close()
    eventually(lambda: kept(served) == before)


def test_a_body_in_chunks_that_is_cut_off_leaves_nothing(served, peer):
    before = kept(served)
    peer.start_upload("Transfer-Encoding: chunked")
    peer.socket.sendall(chunked(body(os.urandom(300_000)))[:250_000])
    eventually(lambda: kept(served) != before)
    peer.close()
    eventually(lambda: kept(served) == before)


def test_a_form_that_ends_before_its_length_leaves_nothing(served, peer):
    before = kept(served)
    raw = body(b"hello world")
    peer.start_upload(f"Content-Length: {len(raw) + 10}")
    peer.socket.sendall(raw)
    peer.socket.shutdown(1)
    eventually(lambda: kept(served) == before)
    assert names(served) == before


def test_what_follows_the_length_is_another_request(served, peer):
    raw = body(b"hello world", b"a.txt")
    peer.start_upload(f"Content-Length: {len(raw)}")
    peer.socket.sendall(raw + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert peer.answer()[0] == 201
    assert peer.head()[0] == 200


def test_a_length_that_is_too_short_is_refused(served, peer):
    raw = body(b"hello world" * 100, b"a.txt")
    peer.start_upload(f"Content-Length: {len(raw) - 50}")
    peer.socket.sendall(raw)
    status, problem = peer.answer()
    assert (status, problem["code"]) == (400, "invalid_multipart")


def test_whoever_sends_too_much_gets_to_see_why(served):
    """Clients that send all before they read would else only see the connection break."""
    raw = body(b"\0" * (402 * MIB))
    with httpx.Client(timeout=120) as client:
        answer = client.post(
            served.url + UPLOAD,
            content=raw,
            headers={
                "X-API-Key": SECRET,
                "Content-Type": "multipart/form-data; boundary=bound",
            },
        )
    assert (answer.status_code, answer.json()["code"]) == (413, "file_too_large")


def test_a_client_that_asks_first_is_refused_at_once(served, peer):
    peer.start_upload(f"Content-Length: {500 * MIB}", "Expect: 100-continue")
    status, problem = peer.answer()
    assert (status, problem["code"]) == (413, "file_too_large")


def test_memory_stays_the_same_whatever_the_size(served):
    small = [os.urandom(MIB)]
    with Connection(served.port) as peer:
        for _ in range(5):
            peer.upload(small, MIB)
        before = memory(served)[0]
        block, digest, size = os.urandom(MIB), sha256(), 300
        peak = Peak(served)
        status, record = peer.upload((block for _ in range(size)), size * MIB)
        for _ in range(size):
            digest.update(block)
        assert (status, record["sha256"]) == (201, digest.hexdigest())
        peer.send("GET", f"/service/archive/v1/download/{record['_id']}/")
        got = sha256()
        _, headers = peer.head()
        for part in peer.blocks(int(headers["content-length"])):
            got.update(part)
        assert got.hexdigest() == record["sha256"]
        for _ in range(20):
            first = random.randrange(size * MIB)
            last = min(first + random.randrange(2 * MIB), size * MIB - 1)
            peer.send(
                "GET",
                f"/service/archive/v1/download/{record['_id']}/",
                f"Range: bytes={first}-{last}",
            )
            status, headers = peer.head()
            whole = b"".join(peer.blocks(last - first + 1))
            start = first % MIB
            assert status == 206
            assert whole == (block * 4)[start : start + len(whole)]
        assert peak.stop() - before < 32 * 1024


class Peak:
    """The most memory that the worker takes, in KiB, looked at all the time."""

    def __init__(self, served):
        self._served, self._most, self._stop = served, 0, threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self):
        while not self._stop.wait(0.01):
            self._most = max(self._most, *memory(self._served))

    def stop(self):
        self._stop.set()
        self._thread.join()
        return self._most


def test_counts_outlive_the_server(tmp_path):
    """What was downloaded just before the server is told to stop is counted."""
    running = Served(tmp_path / "var", WEB_WORKERS="1")
    try:
        files = {"file": ("a.txt", b"hello")}
        record = running.http.post(running.url + UPLOAD, files=files).json()
        for _ in range(3):
            running.http.get(f"{running.url}/service/archive/v1/download/{record['_id']}/")
    finally:
        running.stop()
    _, found = manage(tmp_path / "var", "archive", "show", record["_id"])
    assert found["file"]["downloads"] == len(found["accesses"]) == 3


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 24 MiB."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", directory], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    yield directory
    subprocess.run(["umount", "-l", directory], check=True)


@pytest.mark.parametrize("kept_free", ["0", None])
def test_a_full_disk_refuses_and_goes_on(small_disk, tmp_path, kept_free):
    more = {} if kept_free is None else {"COGLEX_ARCHIVE_KEEP_FREE_BYTES": kept_free}
    running = Served(tmp_path / "var", COGLEX_ARCHIVE_DIR=str(small_disk), **more)
    try:
        with Connection(running.port) as peer:
            assert peer.upload([os.urandom(MIB)] * 8, 8 * MIB)[0] == 201
            # One that says its length is refused before it is written, one that does not, when
            # the disk is full.
            status, problem = peer.upload([os.urandom(MIB)] * 20, 20 * MIB)
            assert (status, problem["code"]) == (503, "storage_full")
            peer.start_upload("Transfer-Encoding: chunked")
            peer.socket.sendall(chunked(body(os.urandom(20 * MIB)), MIB))
            status, problem = peer.answer()
            assert (status, problem["code"]) == (503, "storage_full")
            left = [path for path in small_disk.rglob("*") if path.is_file()]
            assert [path.stat().st_size for path in left] == [8 * MIB]
            assert peer.upload([os.urandom(MIB)], MIB)[0] == 201
        assert len(names(running)) == 2
    finally:
        running.stop()


def test_a_killed_server_leaves_files_whole_or_absent(tmp_path):
    """Two of the kills that `python -m bench filekills` does 20 of."""
    for _ in range(2):
        found = killed_once(tmp_path / "var")
        assert found.verified == 0
        assert found.acknowledged <= found.whole
        assert not found.deleted & found.whole
        assert found.on_disk == found.whole


class Found:
    """What there is after a server was killed while it took uploads and deletions."""

    def __init__(self, acknowledged, deleted, data_dir):
        self.acknowledged, self.deleted = acknowledged, deleted
        running = Served(data_dir)
        try:
            self.swept = manage(data_dir, "archive", "sweep")[1]
            self.verified, _ = manage(data_dir, "archive", "verify")
            self.whole = set(names(running))
            self.on_disk = set(kept(running))
        finally:
            running.stop()


def killed_once(data_dir: Path) -> Found:
    """Kill a server at a random moment under uploads and deletions; start another; sweep."""
    running = Served(data_dir)
    acknowledged: set[str] = set()
    deleted: set[str] = set()
    before = set(names(running))
    lock, stop = threading.Lock(), threading.Event()

    def client():
        made = []
        with httpx.Client(headers={"X-API-Key": SECRET}, timeout=10) as http:
            while not stop.is_set():
                try:
                    content = os.urandom(random.randrange(1, 2 * MIB))
                    files = {"file": ("a.bin", content)}
                    answer = http.post(running.url + UPLOAD, files=files)
                    if answer.status_code == 201:
                        made.append(answer.json()["_id"])
                        with lock:
                            acknowledged.add(made[-1])
                    if len(made) > 2:
                        gone = made.pop(0)
                        with lock:
                            acknowledged.discard(gone)
                        url = f"{running.url}/service/archive/v1/delete/{gone}/"
                        if http.delete(url).status_code == 200:
                            with lock:
                                deleted.add(gone)
                except httpx.TransportError:
                    return

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(acknowledged) > 4)
    time.sleep(random.uniform(0, 0.5))
    # All of it at once: the parent, the workers and MongoDB.
    os.kill(running.mongod(), signal.SIGKILL)
    running.stop(signal.SIGKILL)
    stop.set()
    for thread in threads:
        thread.join()
    return Found(acknowledged | (before - deleted), deleted, data_dir)
