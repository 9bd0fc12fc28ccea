"""Many clients at once, and processes killed in the middle: what was promised still holds."""

from __future__ import annotations

import os
import random
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.processes import SECRET, Served, eventually

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    made = Served(tmp_path_factory.mktemp("concurrency") / "var")
    yield made
    made.stop()


def together(count, work):
    """Run ``work(client, number)`` in ``count`` threads with a connection each."""

    def run(number):
        with httpx.Client(headers={"X-API-Key": SECRET}, timeout=60) as client:
            return work(client, number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_conditional_increments_lose_nothing(served):
    url = f"{served.storage}/counters/one"
    served.http.put(url, json={"n": 0})

    def increment(client, _):
        for _ in range(25):
            while True:
                seen = client.get(url)
                changed = client.put(
                    url,
                    json={"n": seen.json()["n"] + 1},
                    headers={"If-Match": seen.headers["ETag"]},
                )
                if changed.status_code == 200:
                    break
                assert changed.status_code == 412
        return True

    together(16, increment)
    assert served.http.get(url).json()["n"] == 16 * 25


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "PUT"])
def test_of_two_writers_with_one_etag_one_wins(served, method):
    for turn in range(10):
        url = f"{served.storage}/races/{method}{turn}"
        served.http.put(url, json={"n": 0})
        tag = served.http.get(url).headers["ETag"]
        barrier = threading.Barrier(6)

        def write(client, number, url=url, tag=tag, barrier=barrier):
            body = None if method == "DELETE" else {"n": number + 1}
            barrier.wait()
            return client.request(method, url, json=body, headers={"If-Match": tag}).status_code

        statuses = sorted(together(6, write))
        assert statuses[0] == 200
        assert set(statuses[1:]) <= {404, 412}


def test_of_many_inserts_of_one_key_one_wins(served):
    url = f"{served.storage}/unique/"
    statuses = together(
        40,
        lambda client, _: [client.post(url, json={"_id": f"k{n}"}).status_code for n in range(5)],
    )
    for number in range(5):
        column = sorted(row[number] for row in statuses)
        assert column == [201] + [409] * 39


def test_concurrent_puts_of_one_key_create_it_once(served):
    url = f"{served.storage}/puts/k"
    statuses = together(20, lambda client, n: client.put(url, json={"n": n}).status_code)
    assert sorted(statuses) == [200] * 19 + [201]


@pytest.mark.parametrize("victim", ["worker", "mongod"])
def test_a_batch_killed_in_the_middle_is_whole_or_absent(served, victim):
    size, name = 200, f"batches-{victim}"
    acknowledged = []

    def batch(number):
        operations = [
            {"op": "insert", "collection": name, "document": {"batch": number}} for _ in range(size)
        ]
        try:
            with httpx.Client(headers={"X-API-Key": SECRET}, timeout=60) as client:
                answer = client.post(f"{served.storage}/", json={"operations": operations})
        except httpx.TransportError:
            return
        if answer.status_code == 200:
            acknowledged.append(number)

    for turn in range(4):
        with ThreadPoolExecutor(4) as pool:
            for number in range(4):
                pool.submit(batch, turn * 4 + number)
            pool.submit(_kill_soon, served, victim)
        eventually(lambda: _ready(served), 30)
    counted = served.http.post(
        f"{served.storage}/{name}/aggregate",
        json={"pipeline": [{"$group": {"_id": "$batch", "n": {"$sum": 1}}}]},
    ).json()
    assert {group["n"] for group in counted} <= {size}
    assert set(acknowledged) <= {group["_id"] for group in counted}


def _kill_soon(served, victim):
    threading.Event().wait(random.uniform(0.01, 0.15))
    pid = served.mongod() if victim == "mongod" else random.choice(served.children())
    os.kill(pid, signal.SIGKILL)


def _ready(served):
    try:
        return served.http.get(f"{served.url}/readyz").status_code == 200 and (
            len(served.children()) >= 2
        )
    except httpx.TransportError:
        return False
