"""Coglex as production runs it, from any checkout, with documents, users, files, a subscription."""

from __future__ import annotations

import http.client
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database

from bench import data
from bench.load import ask
from bench.peers import installed
from bench.subjects import request, spawn, stop, wait_until
from core.data.embedded.server import Server
from payments.standin.server import Standin
from tests.archive.peers import body as form
from tests.processes import ROOT, SECRET, environment, eventually, free_port

KEY = {"X-API-Key": SECRET}
STORAGE = "/service/storage/v1"
AUTH = "/service/auth/v1"
ARCHIVE = "/service/archive/v1"
SUBSCRIPTION = "/service/payment/v1/subscription/?email=u0@example.com"
FILE = b"a line of a small file\n" * 445  # 10 KiB
PASSWORD = "seven tall mountains"
USERS = 16
# The limits would end a measurement after a few requests.
UNLIMITED = {
    f"COGLEX_RATE_{name}": "100000000/m"
    for name in ("SIGNUP_ADDRESS", "SIGNIN_ADDRESS", "SIGNIN_KEY")
}


@dataclass
class Running:
    """A server of Coglex, and its MongoDB as the driver reaches it."""

    name: str
    process: Any
    port: int
    data_dir: Path
    database: Database[dict[str, Any]]
    database_pid: int
    standin: Standin
    has_people: bool = False

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        """The JSON of an answer, which has to be 2xx."""
        status, raw = ask(self.port, request(method, path, body, {**KEY, **headers}))
        assert 200 <= status < 300, f"{method} {path}: {status} {raw[:1000]!r}"
        return json.loads(raw) if raw else None


@contextmanager
def serve(
    name: str,
    directory: Path,
    *,
    workers: int,
    checkout: Path = ROOT,
    mongodb: tuple[str, int] | None = None,
) -> Iterator[Running]:
    """A server with data to measure; ``mongodb`` is the URI and pid of one that runs already."""
    place = directory / re.sub(r"\W+", "_", name).lower()
    data_dir, output, port = place / "var", place / "output", free_port()
    place.mkdir()
    standin = Standin().start()
    env = environment(
        data_dir,
        PORT=str(port),
        WEB_WORKERS=str(workers),
        STRIPE_SECRET_KEY="sk_test_standin",
        STRIPE_WEBHOOK_SECRET=standin.secret,
        STRIPE_API_BASE=standin.url,
        MONGODB_DATABASE=place.name,
        **({"MONGODB_URI": mongodb[0]} if mongodb else {}),
        **UNLIMITED,
    )
    process = spawn(
        [_python(checkout), "manage.py", "serve", "--setup"], cwd=checkout, env=env, output=output
    )
    try:
        wait_until(process, output, lambda: _is_ready(port, workers))
        uri, pid = mongodb or embedded(data_dir)
        with MongoClient(uri) as client:
            running = Running(name, process, port, data_dir, client[place.name], pid, standin)
            _fill(running)
            yield running
    finally:
        stop(process)
        standin.stop()


def _python(checkout: Path) -> str:
    """A Python with what production installs and nothing else: packages for tests take memory."""
    wanted = checkout / "requirements.txt"
    digest = sha256(wanted.read_bytes()).hexdigest()[:12]
    place = installed(
        f"coglex-{digest}",
        [sys.executable, "-m", "venv", "."],
        ["bin/python", "-m", "pip", "install", "--quiet", "-r", str(wanted)],
    )
    return str(place / "bin" / "python")


def embedded(data_dir: Path) -> tuple[str, int]:
    """The URI and pid of a server's own MongoDB."""
    root = data_dir / "mongodb"
    return Server(root).uri, int((root / "mongod.pid").read_text())


def _is_ready(port: int, workers: int) -> bool:
    # Each worker has to be there, and connections go to one or the other.
    return all(ask(port, request("GET", "/readyz"))[0] == 200 for _ in range(workers * 5))


def _fill(running: Running) -> None:
    documents = data.documents()
    for name in ("bench", "compound"):
        running.database[name].insert_many(documents)
    running.database["bench"].create_index([("group", 1)])
    running.database["compound"].create_index([("group", 1), ("price", 1), ("_id", 1)])
    _subscribe(running)


def _subscribe(running: Running) -> None:
    """Let one customer subscribe at the stand-in, and Coglex hear of it."""
    state = running.standin.state
    with state.lock:
        state.add_prices()
        customer = state.create_customer({"email": "u0@example.com"})
        items = state._priced([{"price": "price_club", "quantity": 1}])
        state._subscribe(customer["id"], items, {})
    for event in running.standin.emitted:
        body, headers = running.standin.signed(event)
        raw = request("POST", "/service/payment/v1/webhook/", body, headers)
        assert ask(running.port, raw)[0] == 200
    eventually(lambda: "active" in json.dumps(running.ask("GET", SUBSCRIPTION)))


def upload(running: Running) -> str:
    """Keep a small text file; returns its id."""
    headers = {"Content-Type": "multipart/form-data; boundary=bound"}
    return running.ask("POST", f"{ARCHIVE}/upload/", form(FILE, b"a.txt"), **headers)["_id"]


def sign_up(running: Running, number: int) -> None:
    body = {"_key": f"u{number}@example.com", "_password": PASSWORD}
    running.ask("POST", f"{AUTH}/signup/people/", body)


def sign_in(running: Running, number: int) -> str:
    """The token of a new session."""
    body = {"_key": f"u{number}@example.com", "_password": PASSWORD}
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
    headers = {**KEY, "Content-Type": "application/json"}
    connection.request("POST", f"{AUTH}/signin/people/", json.dumps(body), headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    token = answer.headers["X-Session-Token"]
    assert token, answer.status
    return str(token)


def etag(running: Running, path: str) -> str:
    """The current ETag of a document."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
    connection.request("GET", path, headers=KEY)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return str(answer.headers["ETag"])
