"""Load on a server: requests of a file over 16 keep-alive connections, by wrk where it is.

Called by the rounds. Without wrk the same requests are sent by processes of Python's.
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import shutil
import statistics
import subprocess
import time
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

CONNECTIONS = 16
_SCRIPT = Path(__file__).with_name("replay.lua")


class LoadFailed(RuntimeError):
    """Answers were not 2xx, or none came: the figures would mean nothing."""


@dataclass(frozen=True)
class Load:
    """What came of some seconds of load; times in milliseconds.

    ``timed`` requests were answered in these seconds, when all connections were busy.
    """

    requests: int
    timed: int
    seconds: float
    p50: float
    p99: float
    failed: int

    @property
    def rate(self) -> float:
        return self.timed / self.seconds


@dataclass(frozen=True)
class Replay:
    """A file of requests; with ``own`` each connection has a share of them for itself.

    ``slow`` ones take so long that those under way at the end would count: they are waited for.
    """

    path: Path
    own: bool = False
    slow: bool = False

    @classmethod
    def write(cls, path: Path, requests: list[bytes], **kind: bool) -> Replay:
        path.write_bytes(b"".join(b"%d\n%s" % (len(each), each) for each in requests))
        return cls(path, **kind)

    def read(self) -> list[bytes]:
        found = []
        with self.path.open("rb") as file:
            while size := file.readline():
                found.append(file.read(int(size)))
        return found


def generator() -> str:
    """What makes the load, with its version."""
    if not shutil.which("wrk"):
        return "Python"
    ran = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False)
    return ran.stdout.split(" [")[0]


def drive(
    port: int, replay: Replay, seconds: float, start: int = 0, *, strict: bool = False
) -> Load:
    """Send requests for some seconds, from the ``start``-th on; raises LoadFailed.

    Without ``strict`` only answers of 400 and more are looked for, which costs wrk nothing.
    """
    by_wrk = shutil.which("wrk") and not replay.slow
    load = (_wrk if by_wrk else _python)(port, replay, seconds, start, strict)
    if load.failed or not load.requests:
        raise LoadFailed(
            f"{replay.path.name}: {load.failed} of {load.requests} requests failed or were not 2xx"
        )
    return load


def _wrk(port: int, replay: Replay, seconds: float, start: int, strict: bool) -> Load:
    # A connection cannot be told from another of its thread: with a thread each it can.
    threads = CONNECTIONS if replay.own else 2
    options = {"-t": threads, "-c": CONNECTIONS, "-d": max(1, round(seconds)), "--timeout": 30}
    command = ["wrk", *(str(part) for option in options.items() for part in option)]
    command += ["-s", str(_SCRIPT), f"http://127.0.0.1:{port}/", "--", str(replay.path)]
    command += [
        str(threads),
        "own" if replay.own else "all",
        str(start),
        "strict" if strict else "",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in ran.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise LoadFailed(f"wrk: {ran.stdout}{ran.stderr}")
    told = json.loads(lines[-1])
    return Load(
        requests=told["requests"],
        timed=told["requests"],
        seconds=told["microseconds"] / 1e6,
        p50=told["p50"] / 1000,
        p99=told["p99"] / 1000,
        failed=max(told["status"], told["strange"]) + told["broken"],
    )


def _python(port: int, replay: Replay, seconds: float, start: int, _: bool) -> Load:
    requests = replay.read()
    share = max(1, len(requests) // CONNECTIONS)
    parts = []
    for at in range(0, share * CONNECTIONS, share):
        first = at if replay.own else (at + start) % len(requests)
        parts.append((requests[first:] + requests[:first])[: share if replay.own else None])
    with multiprocessing.get_context("fork").Pool(CONNECTIONS) as pool:
        results = pool.starmap(_connection, [(port, part, seconds) for part in parts])
    spans = [span for found, _ in results for span in found]
    cuts = statistics.quantiles([end - begin for begin, end in spans], n=100)
    first = min(begin for begin, _ in spans)
    until = min(found[-1][1] for found, _ in results)
    return Load(
        requests=len(spans),
        timed=sum(end <= until for _, end in spans),
        seconds=until - first,
        p50=cuts[49] * 1000,
        p99=cuts[98] * 1000,
        failed=sum(failed for _, failed in results),
    )


def _connection(
    port: int, requests: list[bytes], seconds: float
) -> tuple[list[tuple[float, float]], int]:
    """When each request began and ended, and how many failed; the last one is waited for."""
    spans, failed = [], 0
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.connect()
    last = time.perf_counter() + seconds
    for raw in cycle(requests):
        if (began := time.perf_counter()) >= last:
            break
        failed += not 200 <= send(connection, raw)[0] < 300
        spans.append((began, time.perf_counter()))
    connection.close()
    return spans, failed


def send(connection: http.client.HTTPConnection, raw: bytes) -> tuple[int, bytes]:
    """Status and body of the answer to one request's bytes."""
    connection.sock.sendall(raw)
    answer = connection.response_class(connection.sock, method=raw.split(b" ", 1)[0].decode())
    answer.begin()
    body = answer.read()
    answer.close()
    return answer.status, body


def ask(port: int, raw: bytes) -> tuple[int, bytes]:
    """The answer to one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.connect()
    try:
        return send(connection, raw)
    finally:
        connection.close()
