"""Parse Server, with its own cluster of two processes and its default settings.

It is asked as an application asks it: with the REST API key, and permissions of the class that let
everybody do what is measured.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

from pymongo import MongoClient

from bench import data
from bench.database import Shared
from bench.load import ask
from bench.peers import installed
from bench.subjects import Subject, Workload, answers, request, spawn, stop, wait_until
from tests.processes import environment, eventually, free_port

VERSION = "9.10.0"
NAME = "Parse Server"
PROCESSES = 2
_APPLICATION = {"X-Parse-Application-Id": "bench"}
_KEYS = {**_APPLICATION, "X-Parse-REST-API-Key": "bench-rest-key"}
_MASTER = {**_APPLICATION, "X-Parse-Master-Key": "bench-master-key"}
_ACTIONS = ("find", "get", "count", "create", "update", "delete", "addField")
_NAMES = ("Bench", "Compound", "Written")
_NUMBERS = ("n", "group", "price")
_CLASSES = "/parse/classes"


@contextmanager
def serve(directory: Path, database: Shared) -> Iterator[Subject]:
    """It, with the documents and their indexes."""
    node = shutil.which("node")
    assert node, "Parse Server needs node"
    package = f"parse-server@{VERSION}"
    place = installed(
        f"parse-server-{VERSION}", ["npm", "install", "--no-audit", "--no-fund", package]
    )
    port, configuration, output = free_port(), directory / "parse.json", directory / "parse.out"
    configuration.write_text(json.dumps(_configuration(port, database)))
    program = place / "node_modules" / "parse-server" / "bin" / "parse-server"
    env = {**environment(directory), "NODE_ENV": "production"}
    command = [node, str(program), str(configuration), "--cluster", str(PROCESSES)]
    process = spawn(command, cwd=directory, env=env, output=output)
    try:
        health = request("GET", "/parse/health")
        wait_until(process, output, lambda: all(b"ok" in ask(port, health)[1] for _ in range(10)))
        _fill(port, database)
        yield Subject(NAME, process, port, database.pid, dict(WORKLOADS))
    finally:
        stop(process)


def _configuration(port: int, database: Shared) -> dict[str, object]:
    return {
        "appId": _KEYS["X-Parse-Application-Id"],
        "restAPIKey": _KEYS["X-Parse-REST-API-Key"],
        "masterKey": _MASTER["X-Parse-Master-Key"],
        "databaseURI": database.address.replace("/?", "/parse?"),
        "serverURL": f"http://127.0.0.1:{port}/parse",
        "mountPath": "/parse",
        "host": "127.0.0.1",
        "port": port,
    }


def _fill(port: int, database: Shared) -> None:
    """The classes by its own API, the documents as it stores them."""
    fields = {name: {"type": "Number"} for name in _NUMBERS}
    fields |= {"name": {"type": "String"}, "tags": {"type": "Array"}, "text": {"type": "String"}}
    for name in _NAMES:
        _define(port, "POST", name, fields=fields)
    eventually(lambda: _permit(port))
    now = datetime.now(UTC)
    documents = [{**each, "_created_at": now, "_updated_at": now} for each in data.documents()]
    with MongoClient(database.address) as client:
        for name in ("Bench", "Compound"):
            client["parse"][name].insert_many(documents)
        client["parse"]["Bench"].create_index([("group", 1)])
        client["parse"]["Compound"].create_index([("group", 1), ("price", 1), ("_id", 1)])


def _define(port: int, method: str, name: str, **what: object) -> None:
    """Make a class, or change it."""
    body = {"className": name, **what}
    status, raw = ask(port, request(method, f"/parse/schemas/{name}", body, _MASTER))
    assert status == 200, raw


def _permit(port: int) -> bool:
    """Let everybody do what is measured; whether each process, which remembers that, knows it."""
    allowed = {action: {"*": True} for action in _ACTIONS}
    for name in _NAMES:
        _define(port, "PUT", name, classLevelPermissions=allowed)
    looks = [request("GET", f"{_CLASSES}/{name}?limit=1", headers=_KEYS) for name in _NAMES]
    return all(ask(port, look)[0] == 200 for look in looks for _ in range(10))


def _is(found: dict[str, object], number: int) -> bool:
    ours = {"objectId": data.key(number), **data.fields(number)}
    return {name: found.get(name) for name in ours} == ours


def _get() -> Workload:
    numbers = data.shuffled()
    return Workload(
        [request("GET", f"{_CLASSES}/Bench/{data.key(n)}", headers=_KEYS) for n in numbers],
        answers(lambda found: _is(found, numbers[0])),
    )


def _list() -> Workload:
    return Workload(
        [request("GET", f"{_CLASSES}/Bench?limit=20", headers=_KEYS)],
        answers(
            lambda found: [_is(each, n) for n, each in enumerate(found["results"])] == [True] * 20
        ),
    )


def _sorted(name: str) -> Workload:
    def asked(group: int) -> bytes:
        fields = {"where": json.dumps({"group": group}), "order": "price", "limit": 20}
        return request("GET", f"{_CLASSES}/{name}?{urlencode(fields)}", headers=_KEYS)

    groups = data.shuffled(data.GROUPS)
    return Workload(
        [asked(group) for group in groups],
        answers(
            lambda found: (
                [each["objectId"] for each in found["results"]] == data.cheapest(groups[0])
            )
        ),
    )


def _post() -> Workload:
    return Workload(
        [request("POST", f"{_CLASSES}/Written", data.fields(n), _KEYS) for n in range(1000)],
        answers(lambda found: bool(found["objectId"])),
    )


def _patch() -> Workload:
    change = {"n": {"__op": "Increment", "amount": 1}}
    return Workload(
        [
            request("PUT", f"{_CLASSES}/Bench/{data.key(number)}", change, _KEYS)
            for number in data.shuffled()
        ],
        answers(lambda found: "n" in found and "updatedAt" in found),
    )


WORKLOADS = {
    "get": _get,
    "list": _list,
    "filtered": lambda: _sorted("Bench"),
    "compound": lambda: _sorted("Compound"),
    "post": _post,
    "patch": _patch,
}
