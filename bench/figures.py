"""Requests per second and latency of the main routes, and the memory of the workers."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import statistics
import time
from pathlib import Path
from typing import Any

from tests.processes import SECRET, Served

CONNECTIONS = 8
SECONDS = 5
BASE = "/service/storage/v1/bench/"
HEADERS = {"X-API-Key": SECRET, "Content-Type": "application/json"}
DOCUMENT = {"name": "x" * 40, "price": 12.5, "tags": ["a", "b", "c"], "text": "y" * 220}
ROUTES: list[tuple[str, str, str, Any]] = [
    ("GET by key", "GET", BASE + "k7/", None),
    ("list of 20", "GET", BASE + "?limit=20", None),
    ("POST one", "POST", "/service/storage/v1/written/", DOCUMENT),
    ("POST 100", "POST", "/service/storage/v1/written/", [DOCUMENT] * 100),
    ("PATCH", "PATCH", BASE + "k7/", {"$inc": {"n": 1}}),
    ("aggregate", "POST", BASE + "aggregate/", {"pipeline": [{"$limit": 20}, {"$count": "n"}]}),
]


def run(served: Served) -> None:
    """Print the table."""
    documents = [{"_id": f"k{n}", "n": n, **DOCUMENT} for n in range(10_000)]
    served.http.post(f"{served.storage}/bench/", json=documents).raise_for_status()
    print(f"{CONNECTIONS} connections, {SECONDS} s each, {len(served.children())} workers")
    print(f"{'route':<12} {'requests/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'not 2xx':>8}")
    for name, method, path, body in ROUTES:
        times, bad = drive(served.port, method, path, body)
        p99 = statistics.quantiles(times, n=100)[98] * 1000
        p50 = statistics.median(times) * 1000
        print(f"{name:<12} {len(times) / SECONDS:>10.0f} {p50:>8.1f} {p99:>8.1f} {bad:>8}")
    print(f"memory of the workers: {', '.join(f'{kib // 1024} MB' for kib in memory(served))}")


def memory(served: Served) -> list[int]:
    """The resident memory of each worker in KiB."""
    return [
        int(line.split()[1])
        for pid in served.children()
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS")
    ]


def drive(port: int, method: str, path: str, body: Any) -> tuple[list[float], int]:
    with multiprocessing.get_context("fork").Pool(CONNECTIONS) as pool:
        results = pool.starmap(_client, [(port, method, path, body)] * CONNECTIONS)
    return [time for times, _ in results for time in times], sum(bad for _, bad in results)


def _client(port: int, method: str, path: str, body: Any) -> tuple[list[float], int]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    raw = None if body is None else json.dumps(body)
    times, bad = [], 0
    end = time.perf_counter() + SECONDS
    while (started := time.perf_counter()) < end:
        connection.request(method, path, raw, HEADERS)
        answer = connection.getresponse()
        answer.read()
        times.append(time.perf_counter() - started)
        bad += answer.status >= 300
    return times, bad
