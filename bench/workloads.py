"""What Coglex is asked, by name: requests, what is right, and what is put back before a round."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench import coglex, data
from bench.coglex import ARCHIVE, AUTH, FILE, KEY, PASSWORD, STORAGE, SUBSCRIPTION, USERS, Running
from bench.load import CONNECTIONS
from bench.subjects import Subject, Workload, answers, request

BENCH = f"{STORAGE}/bench/"
WRITTEN = f"{STORAGE}/written/"
_OWN_EACH = 30


@dataclass
class CoglexSubject(Subject):
    """A Coglex that is measured."""

    running: Running | None = None


@contextmanager
def served(name: str, directory: Path, **options: Any) -> Iterator[CoglexSubject]:
    """A Coglex with data, ready to be measured; the options are those of ``coglex.serve``."""

    def build(make: Callable[[Running], Workload]) -> Callable[[], Workload]:
        return lambda: make(running)

    with coglex.serve(name, directory, **options) as running:
        yield CoglexSubject(
            name=name,
            process=running.process,
            port=running.port,
            database_pid=running.database_pid,
            build={each: build(make) for each, make in WORKLOADS.items()},
            running=running,
        )


def _get(_: Running) -> Workload:
    numbers = data.shuffled()
    first = data.document(numbers[0])
    return Workload(
        [request("GET", f"{BENCH}{data.key(number)}/", headers=KEY) for number in numbers],
        answers(lambda found: found == first),
    )


def _list(_: Running) -> Workload:
    twenty = [data.document(number) for number in range(20)]
    return Workload(
        [request("GET", f"{BENCH}?limit=20", headers=KEY)], answers(lambda found: found == twenty)
    )


def _sorted(collection: str) -> Workload:
    def asked(group: int) -> bytes:
        fields = {"query": json.dumps({"group": group}), "sort": "price", "limit": 20}
        return request("GET", f"{STORAGE}/{collection}/?{urlencode(fields)}", headers=KEY)

    groups = data.shuffled(data.GROUPS)
    first = data.cheapest(groups[0])
    return Workload(
        [asked(group) for group in groups],
        answers(lambda found: [each["_id"] for each in found] == first),
    )


def _post(running: Running) -> Workload:
    _written(running)
    return Workload(
        [request("POST", WRITTEN, data.fields(number), KEY) for number in range(1000)],
        answers(lambda found: found["inserted_count"] == 1),
        before=lambda: _written(running),
    )


def _post_100(running: Running) -> Workload:
    bodies = [[data.fields(n) for n in range(at, at + 100)] for at in range(0, 1000, 100)]
    return Workload(
        [request("POST", WRITTEN, body, KEY) for body in bodies],
        answers(lambda found: found["inserted_count"] == 100),
        before=lambda: _written(running),
    )


def _written(running: Running) -> None:
    """An empty collection, which is there: every round begins with the same."""
    running.database["written"].drop()
    running.database.create_collection("written")


def _patch(_: Running) -> Workload:
    return Workload(
        [
            request("PATCH", f"{BENCH}{data.key(number)}/", {"$inc": {"n": 1}}, KEY)
            for number in data.shuffled()
        ],
        answers(lambda found: found == {"matched_count": 1, "modified_count": 1}),
    )


def _conditional(running: Running) -> Workload:
    """Each connection changes documents of its own, to and fro, under the current ETag."""
    collection = running.database["conditional"]
    collection.insert_many([data.document(n) for n in range(CONNECTIONS * _OWN_EACH)])
    collection.update_many({}, {"$set": {"n": 0}})
    requests = []
    for connection in range(CONNECTIONS):
        own = range(connection * _OWN_EACH, (connection + 1) * _OWN_EACH)
        paths = [f"{STORAGE}/conditional/{data.key(number)}/" for number in own]
        for value in (1, 0):
            requests += [_changed(running, path, value) for path in paths]
    return Workload(
        requests,
        answers(lambda found: found["modified_count"] == 1),
        own=True,
        before=lambda: collection.update_many({}, {"$set": {"n": 0}}),
    )


def _changed(running: Running, path: str, value: int) -> bytes:
    """A conditional request that has just worked, and will again once it is undone."""
    tag = coglex.etag(running, path)
    running.ask("PATCH", path, {"n": value}, **{"If-Match": tag})
    return request("PATCH", path, {"n": value}, {**KEY, "If-Match": tag})


def _aggregate(_: Running) -> Workload:
    def asked(group: int) -> bytes:
        stages = [
            {"$match": {"group": group}},
            {"$group": {"_id": "$group", "count": {"$sum": 1}, "mean": {"$avg": "$price"}}},
        ]
        return request("POST", f"{BENCH}aggregate/", {"pipeline": stages}, KEY)

    return Workload(
        [asked(group) for group in data.shuffled(data.GROUPS)],
        answers(lambda found: [each["count"] for each in found] == [data.COUNT // data.GROUPS]),
    )


def _sign_in(running: Running) -> Workload:
    _people(running)
    bodies = [{"_key": f"u{n}@example.com", "_password": PASSWORD} for n in range(USERS)]
    return Workload(
        [request("POST", f"{AUTH}/signin/people/", body, KEY) for body in bodies],
        answers(lambda found: found["_key"] == "u0@example.com"),
        slow=True,
    )


def _session(running: Running) -> Workload:
    _people(running)
    tokens = [coglex.sign_in(running, number) for number in range(USERS)]
    return Workload(
        [
            request("GET", f"{AUTH}/session/people/", headers={**KEY, "X-Session-Token": token})
            for token in tokens
        ],
        answers(lambda found: found["user"]["_key"] == "u0@example.com"),
    )


def _people(running: Running) -> None:
    if not running.has_people:
        for number in range(USERS):
            coglex.sign_up(running, number)
        running.has_people = True


def _download(running: Running) -> Workload:
    kept = [coglex.upload(running) for _ in range(USERS)]

    def check(body: bytes) -> None:
        assert body == FILE, body[:200]

    return Workload(
        [request("GET", f"{ARCHIVE}/download/{each}/", headers=KEY) for each in kept], check
    )


def _subscription(_: Running) -> Workload:
    def is_active(found: Any) -> bool:
        return "active" in json.dumps(found)

    return Workload([request("GET", SUBSCRIPTION, headers=KEY)], answers(is_active))


WORKLOADS: dict[str, Callable[[Running], Workload]] = {
    "get": _get,
    "list": _list,
    "filtered": lambda _: _sorted("bench"),
    "compound": lambda _: _sorted("compound"),
    "post": _post,
    "post100": _post_100,
    "patch": _patch,
    "conditional": _conditional,
    "aggregate": _aggregate,
    "signin": _sign_in,
    "session": _session,
    "download": _download,
    "subscription": _subscription,
}
TITLES = {
    "get": "GET by id",
    "list": "list of 20",
    "filtered": "filtered, sorted, index on the filter",
    "compound": "filtered, sorted, compound index",
    "post": "POST one",
    "post100": "POST 100",
    "patch": "PATCH",
    "conditional": "PATCH with If-Match",
    "aggregate": "aggregate",
    "signin": "sign-in",
    "session": "session",
    "download": "download of 10 KiB",
    "subscription": "subscription status",
}
