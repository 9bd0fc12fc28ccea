"""Eve on gunicorn, with two processes of eight threads; its configuration is ``eve_app``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from pymongo import MongoClient

from bench import data
from bench.database import Shared
from bench.load import ask
from bench.peers import installed
from bench.subjects import Subject, Workload, answers, request, spawn, stop, wait_until
from tests.processes import ROOT, environment, free_port

VERSION = "2.3.1"
GUNICORN = "27.0.1"
NAME = "Eve"
PROCESSES, THREADS = 2, 8


@contextmanager
def serve(directory: Path, database: Shared) -> Iterator[Subject]:
    """It, with the documents and their indexes."""
    packages = [f"eve=={VERSION}", f"gunicorn=={GUNICORN}"]
    place = installed(
        f"eve-{VERSION}",
        [sys.executable, "-m", "venv", "."],
        ["bin/python", "-m", "pip", "install", "--quiet", *packages],
    )
    port, output = free_port(), directory / "eve.out"
    env = {**environment(directory), "BENCH_MONGODB": database.address.replace("/?", "/eve?")}
    command = [str(place / "bin" / "gunicorn"), "--worker-class", "gthread"]
    command += [
        "--workers",
        str(PROCESSES),
        "--threads",
        str(THREADS),
        "--keep-alive",
        "75",
        "--no-control-socket",
    ]
    command += ["--bind", f"127.0.0.1:{port}", "bench.peers.eve_app:app"]
    process = spawn(command, cwd=ROOT, env=env, output=output)
    try:
        wait_until(process, output, lambda: ask(port, request("GET", "/bench"))[0] == 200)
        _fill(port, database)
        yield Subject(NAME, process, port, database.pid, dict(WORKLOADS))
    finally:
        stop(process)


def _fill(port: int, database: Shared) -> None:
    """The documents by its own API, which gives them their ETags."""
    documents = data.documents()
    for name in ("bench", "compound"):
        for at in range(0, len(documents), 1000):
            status, raw = ask(port, request("POST", f"/{name}", documents[at : at + 1000]))
            assert status == 201, raw[:500]
    with MongoClient(database.address) as client:
        client["eve"]["bench"].create_index([("group", 1)])
        client["eve"]["compound"].create_index([("group", 1), ("price", 1), ("_id", 1)])


def _is(found: dict[str, object], number: int) -> bool:
    ours = data.document(number)
    return {name: found.get(name) for name in ours} == ours


def _get() -> Workload:
    numbers = data.shuffled()
    return Workload(
        [request("GET", f"/bench/{data.key(number)}") for number in numbers],
        answers(lambda found: _is(found, numbers[0])),
    )


def _list() -> Workload:
    return Workload(
        [request("GET", "/bench?max_results=20")],
        answers(
            lambda found: [_is(each, n) for n, each in enumerate(found["_items"])] == [True] * 20
        ),
    )


def _sorted(name: str) -> Workload:
    def asked(group: int) -> bytes:
        fields = {"where": json.dumps({"group": group}), "sort": "price", "max_results": 20}
        return request("GET", f"/{name}?{urlencode(fields)}")

    groups = data.shuffled(data.GROUPS)
    return Workload(
        [asked(group) for group in groups],
        answers(
            lambda found: [each["_id"] for each in found["_items"]] == data.cheapest(groups[0])
        ),
    )


def _post() -> Workload:
    return Workload(
        [request("POST", "/written", data.fields(number)) for number in range(1000)],
        answers(lambda found: found["_status"] == "OK"),
    )


def _patch() -> Workload:
    # It has no operators: two passes with different values, so that each request changes something.
    # The second begins elsewhere: it refuses to change a document twice at the same moment.
    numbers = data.shuffled()
    half = data.COUNT // 2
    passes = [(number, 1) for number in numbers]
    passes += [(number, 2) for number in numbers[half:] + numbers[:half]]
    return Workload(
        [
            request("PATCH", f"/bench/{data.key(number)}", {"n": number + more})
            for number, more in passes
        ],
        answers(lambda found: found["_status"] == "OK"),
    )


WORKLOADS = {
    "get": _get,
    "list": _list,
    "filtered": lambda: _sorted("bench"),
    "compound": lambda: _sorted("compound"),
    "post": _post,
    "patch": _patch,
}
