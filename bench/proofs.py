"""Proofs that take minutes: increments, kills, a long walk, memory. Each says what it saw."""

from __future__ import annotations

import os
import random
import signal
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from pymongo import MongoClient

from bench.usage import memory
from core.data.embedded.server import Server
from tests.processes import SECRET, Served, eventually


def http_client() -> httpx.Client:
    return httpx.Client(headers={"X-API-Key": SECRET}, timeout=60)


def inserts(served: Served) -> str:
    """200 concurrent inserts of one key: one 201, the rest 409."""

    def one(_: int) -> int:
        with http_client() as client:
            return client.post(f"{served.storage}/unique/", json={"_id": "k"}).status_code

    with ThreadPoolExecutor(50) as pool:
        statuses = list(pool.map(one, range(200)))
    return f"{statuses.count(201)} × 201, {statuses.count(409)} × 409 of 200"


def increments(served: Served) -> str:
    """10,000 conditional increments from 16 clients, with retry, end at 10,000."""
    url = f"{served.storage}/counters/one"
    served.http.put(url, json={"n": 0})
    refused = 0

    def client(_: int) -> None:
        nonlocal refused
        with http_client() as http:
            for _ in range(625):
                while True:
                    seen = http.get(url)
                    body = {"n": seen.json()["n"] + 1}
                    tag = {"If-Match": seen.headers["ETag"]}
                    if http.put(url, json=body, headers=tag).status_code == 200:
                        break
                    refused += 1

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(client, range(16)))
    return f"the counter is {served.http.get(url).json()['n']}, {refused} writes were refused"


def kills(served: Served) -> str:
    """Kill mongod 20 times under load: what was acknowledged is there."""
    acknowledged: set[str] = set()
    stop = threading.Event()

    def writer(number: int) -> None:
        with http_client() as http:
            count = 0
            while not stop.is_set():
                key = f"{number}-{count}"
                count += 1
                try:
                    if http.put(f"{served.storage}/kept/{key}", json={}).status_code == 201:
                        acknowledged.add(key)
                except httpx.TransportError:
                    time.sleep(0.05)

    whole = 0
    for turn in range(20):
        stop.clear()
        with ThreadPoolExecutor(4) as pool:
            for number in range(4):
                pool.submit(writer, turn * 4 + number)
            time.sleep(random.uniform(0.1, 0.5))
            os.kill(served.mongod(), signal.SIGKILL)
            time.sleep(0.5)
            stop.set()
        eventually(lambda: served.http.get(f"{served.url}/readyz").status_code == 200, 30)
        stored = {document["_id"] for document in _walk(served, "kept", "limit=1000")[0]}
        whole += acknowledged <= stored
    return f"{whole} of 20 kills lost nothing of {len(acknowledged)} acknowledged writes"


def _walk(served: Served, name: str, query: str) -> tuple[list[dict[str, Any]], list[float], str]:
    """What following next links finds, the time of each page, and the path of the 1,000th."""
    found, times, deep = [], [], ""
    path: str | None = f"/service/storage/v1/{name}/?{query}"
    while path:
        started = time.perf_counter()
        answer = served.http.get(served.url + path)
        times.append(time.perf_counter() - started)
        found += answer.json()
        link = answer.links.get("next")
        path = link["url"] if link else None
        if len(times) == 999:
            deep = path or ""
    return found, times, deep


def walk(served: Served) -> str:
    """100,000 documents of mixed types by next links, while another client writes."""
    kinds = [None, 5, 2.5, "text", True, {"x": 1}, {"$oid": "65f1d2ab7e4c81f9a3d5e701"}]
    for start in range(0, 100_000, 5000):
        batch = [{"_id": f"s{n:06}", "a": kinds[n % 7]} for n in range(start, start + 5000)]
        served.http.post(f"{served.storage}/walked/", json=batch).raise_for_status()
    stop = threading.Event()

    def disturb() -> None:
        with http_client() as http:
            count = 0
            while not stop.is_set():
                count += 1
                http.put(f"{served.storage}/walked/t{count}", json={"a": kinds[count % 7]})
                http.delete(f"{served.storage}/walked/t{count - 1}")

    results = []
    with MongoClient(Server(served.data_dir / "mongodb").uri) as driver:
        target = driver["coglex"]["walked"]
        target.create_index([("a", 1), ("_id", 1)])
        for sort in ("_id", "a"):
            stop.clear()
            thread = threading.Thread(target=disturb)
            thread.start()
            found, times, deep = _walk(served, "walked", f"limit=100&sort={sort}")
            stop.set()
            thread.join()
            stayed = [document["_id"] for document in found if document["_id"].startswith("s")]
            once = len(stayed) == len(set(stayed)) == 100_000
            ratio = _ratio(served, f"/service/storage/v1/walked/?limit=100&sort={sort}", deep)
            results.append(f"by {sort}: {len(times)} pages, each once: {once}, {ratio}")
        target.drop_indexes()
        ratio = _ratio(served, "/service/storage/v1/walked/?limit=100&sort=a", deep)
        results.append(f"by a without an index: {ratio}")
    return "; ".join(results)


def _ratio(served: Served, first: str, deep: str) -> str:
    """The cost of page 1,000 against page 1, as medians of 20 interleaved calls."""
    times: dict[str, list[float]] = {first: [], deep: []}
    for _ in range(20):
        for path, seen in times.items():
            started = time.perf_counter()
            served.http.get(served.url + path)
            seen.append(time.perf_counter() - started)
    one, thousand = (statistics.median(seen) * 1000 for seen in times.values())
    return f"page 1,000 costs {thousand / one:.2f} × page 1 ({one:.1f} → {thousand:.1f} ms)"


def growth(served: Served) -> str:
    """50,000 mixed requests: the memory of the workers, every 10,000."""
    seen = [sum(memory(served)) // 1024]

    def client(number: int) -> None:
        url = f"{served.storage}/mixed/"
        with http_client() as http:
            for count in range(312):
                key = f"{url}{number}-{count}"
                http.put(key, json={"n": count, "text": "x" * 200})
                http.get(key)
                http.patch(key, json={"$inc": {"n": 1}})
                http.get(url, params={"query": '{"n": {"$gt": 5}}', "limit": 20, "sort": "-n"})
                http.post(url, json={"$bad": 1})
                http.delete(key)
                http.get(key)
                http.post(f"{url}aggregate", json={"pipeline": [{"$limit": 5}]})

    for _ in range(5):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(client, range(4)))
        seen.append(sum(memory(served)) // 1024)
    return f"{' → '.join(map(str, seen))} MB over {5 * 4 * 312 * 8} requests"


def told(proof: Callable[[Served], str], **environment: str) -> Callable[[Served], None]:
    """The proof as `python -m bench` runs it, on a server with this environment."""

    def run(served: Served) -> None:
        started = time.monotonic()
        print(f"{proof.__name__}: {proof(served)} ({time.monotonic() - started:.0f} s)", flush=True)

    run.environment = environment  # type: ignore[attr-defined]
    return run


PROOFS = {proof.__name__: told(proof) for proof in (inserts, increments, kills, walk, growth)}
