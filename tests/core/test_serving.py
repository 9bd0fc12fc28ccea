"""`manage.py serve` as a person and a supervisor use it: real processes, real signals."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from pathlib import Path

import httpx
import pytest
from django.core.management import call_command
from django.db import ProgrammingError
from pymongo import MongoClient

from core import serving
from core.data.embedded.server import Server
from tests.archive.peers import Connection, body
from tests.processes import ROOT, SECRET, Served, environment, eventually, free_port, is_running

pytestmark = pytest.mark.slow


@pytest.fixture
def served(tmp_path):
    made = Served(tmp_path / "var")
    yield made
    made.stop(signal.SIGKILL if made.process.poll() is None else 0)
    left = Server(tmp_path / "var" / "mongodb")
    if left.is_alive():
        left.stop()


def assert_all_processors_are_used(workers):
    """Each has one to itself when there is a worker for each; else the system decides."""
    ours = os.sched_getaffinity(0)
    theirs = [os.sched_getaffinity(pid) for pid in workers]
    assert set().union(*theirs) == ours
    assert all(len(each) == 1 for each in theirs) is (len(workers) >= len(ours))


def test_ctrl_c_stops_all_of_it_cleanly(served):
    workers, mongod = served.children(), served.mongod()
    assert len(workers) >= 2
    if hasattr(os, "SCHED_BATCH"):
        eventually(lambda: all(os.sched_getscheduler(pid) == os.SCHED_BATCH for pid in workers))
        assert_all_processors_are_used(workers)
    assert served.stop(signal.SIGINT) == 0
    assert not any(map(is_running, [*workers, mongod]))
    said = served.output.read_text()
    assert "Traceback" not in said
    assert "Unexpected exit" not in said


def test_nothing_runs_beside_the_workers_and_mongodb(served):
    pid = served.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert {int(child) for child in children} - {served.mongod()} == set(served.children())


def test_workers_give_freed_memory_back_unless_the_operator_knows_better(served, tmp_path):
    def told(server):
        return [Path(f"/proc/{pid}/environ").read_bytes() for pid in server.children()]

    assert all(b"glibc.malloc.trim_threshold=" in each for each in told(served))
    other = Served(tmp_path / "other", GLIBC_TUNABLES="glibc.malloc.arena_max=8")
    try:
        assert not any(b"trim_threshold" in each for each in told(other))
    finally:
        assert other.stop() == 0


def test_the_banner_holds_what_a_newcomer_needs(tmp_path):
    served = Served(tmp_path / "var")
    said = eventually(lambda: text if "Ctrl-C" in (text := served.output.read_text()) else None)
    assert f"http://127.0.0.1:{served.port}/docs/" in said
    assert f"http://127.0.0.1:{served.port}/admin/" in said
    assert "First operator of the admin: admin, password " in said
    assert SECRET not in said, "a secret from the environment is not printed"
    line = re.search(r"curl .*people/", said, re.DOTALL)[0].replace("$SERVER_SECRET", SECRET)
    curl = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=30)
    assert '"inserted_count":1' in curl.stdout
    assert served.stop() == 0


@pytest.mark.servers
def test_secrets_are_made_once_for_this_user_only(tmp_path):
    made = {"COGLEX_MAKE_SECRETS": "1", "DJANGO_SECRET_KEY": "", "SERVER_SECRET": ""}
    first = Served(tmp_path / "var", **made)
    kept = tmp_path / "var" / "server_secret"
    key = kept.read_text().strip()
    assert len(key) >= 32
    for name in ("server_secret", "django_secret_key"):
        assert (tmp_path / "var" / name).stat().st_mode & 0o777 == 0o600
    first.http.headers["X-API-Key"] = key
    assert first.http.get(f"{first.storage}/").status_code == 200
    eventually(lambda: key in first.output.read_text())
    first.stop()
    second = Served(tmp_path / "var", **made)
    assert kept.read_text().strip() == key
    assert "First operator" not in second.output.read_text()
    second.stop()


def ask_slowly(served, pool, documents):
    """A request whose work grows with the square; returns its future answer once it runs."""
    served.http.post(f"{served.storage}/slow/", json=[{"n": n} for n in range(documents)])
    slow = {
        "pipeline": [
            {
                "$lookup": {
                    "from": "slow",
                    "as": "x",
                    "let": {"v": "$n"},
                    "pipeline": [{"$match": {"$expr": {"$gt": ["$n", "$$v"]}}}, {"$count": "n"}],
                }
            },
            {"$count": "n"},
        ]
    }
    answer = pool.submit(
        served.http.post, f"{served.storage}/slow/aggregate", json=slow, timeout=30
    )
    with MongoClient(Server(served.data_dir / "mongodb").uri) as client:
        eventually(
            lambda: list(
                client.admin.aggregate(
                    [{"$currentOp": {}}, {"$match": {"ns": "coglex.slow", "active": True}}]
                )
            )
        )
    return answer


def refuses_connections(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_told_to_stop_it_takes_no_connection_and_answers_what_is_in_flight(served):
    form = body(b"sent in two halves " * 1000, b"a.txt")
    with Connection(served.port) as client:
        client.start_upload(f"Content-Length: {len(form)}", "Expect: 100-continue")
        # It asks for the body: the request has reached a view.
        assert client.socket.recv(100).startswith(b"HTTP/1.1 100")
        client.socket.sendall(form[:5000])
        os.kill(served.process.pid, signal.SIGTERM)
        eventually(lambda: refuses_connections(served.port))
        assert served.process.poll() is None
        client.socket.sendall(form[5000:])
        status, record = client.answer()
    assert (status, record["size"]) == (201, 19 * 1000)
    assert served.process.wait(30) == 0
    assert (served.data_dir / f"archive/files/{record['_id'][-2:]}/{record['_id']}").exists()


def test_a_request_in_flight_gets_its_answer(served):
    with ThreadPoolExecutor(1) as pool:
        answer = ask_slowly(served, pool, 1500)
        os.killpg(served.process.pid, signal.SIGTERM)
        # make passes it on to a child that has it already.
        os.kill(served.process.pid, signal.SIGTERM)
        assert answer.result().status_code in {200, 504}
    assert served.process.wait(30) == 0


def test_a_second_ctrl_c_does_not_wait_for_requests(served):
    workers, mongod = served.children(), served.mongod()
    with ThreadPoolExecutor(1) as pool:
        answer = ask_slowly(served, pool, 4000)
        os.killpg(served.process.pid, signal.SIGINT)
        eventually(lambda: len(served.children()) < len(workers))
        os.killpg(served.process.pid, signal.SIGINT)
        assert isinstance(answer.exception(), httpx.TransportError)
    assert served.process.wait(30) == 0
    assert not any(map(is_running, [*workers, mongod]))
    assert "Traceback" not in served.output.read_text()


@pytest.fixture
def launch(tmp_path):
    """Start a command in a process group of its own; returns it, its output and its port."""
    started = []

    def launched(command=(sys.executable, "manage.py", "serve", "--setup"), **more):
        port, output = free_port(), tmp_path / "out"
        with output.open("wb") as out:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment(tmp_path / "var", PORT=str(port)),
                stdout=out,
                stderr=out,
                start_new_session=True,
                **more,
            )
        started.append(process)
        return process, output, port

    yield launched
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if Server(tmp_path / "var" / "mongodb").is_alive():
        Server(tmp_path / "var" / "mongodb").stop()


def assert_nothing_left(tmp_path, port):
    assert not Server(tmp_path / "var" / "mongodb").is_alive()
    serving.check_port("127.0.0.1", port)


@pytest.mark.servers
@pytest.mark.parametrize(
    ("moment", "sent"),
    [
        ("Starting MongoDB", signal.SIGINT),
        ("Starting MongoDB", signal.SIGTERM),
        ("Preparing Django", signal.SIGTERM),
        ("worker", signal.SIGINT),
        ("worker", signal.SIGTERM),
    ],
)
def test_it_can_be_stopped_while_it_starts(launch, tmp_path, moment, sent):
    process, output, port = launch()
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if moment == "worker":
        eventually(lambda: len(children.read_text().split()) > 2)
    else:
        eventually(lambda: moment in output.read_text())
    os.killpg(process.pid, sent)
    assert process.wait(60) == 0, output.read_text()
    assert "Traceback" not in output.read_text()
    assert_nothing_left(tmp_path, port)


@pytest.fixture
def prepared(monkeypatch):
    """Make `serve` do nothing but what is given, as its preparation; signals are put back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(serving, "check_port", lambda *_: None)
    monkeypatch.setattr(serving, "database", lambda _: nullcontext())
    yield lambda work: monkeypatch.setattr(serving, "set_up", lambda _: work())
    for number, handler in before.items():
        signal.signal(number, handler)


def test_an_interrupt_that_becomes_an_error_of_the_database_is_still_one(prepared):
    def interrupted():
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise ProgrammingError("can't change 'autocommit' now") from None

    prepared(interrupted)
    call_command("serve", "--setup")


def test_an_error_without_an_interrupt_is_not_hidden(prepared):
    def failing():
        raise ProgrammingError("no such table")

    prepared(failing)
    with pytest.raises(ProgrammingError, match="no such table"):
        call_command("serve", "--setup")


def test_a_terminal_that_is_closed_stops_it(launch, tmp_path):
    ours, theirs = os.openpty()
    process, output, port = launch(stdin=theirs)
    eventually(lambda: "Ctrl-C stops it" in output.read_text())
    os.killpg(process.pid, signal.SIGHUP)
    assert process.wait(60) == 0
    os.close(ours)
    os.close(theirs)
    assert_nothing_left(tmp_path, port)


def test_without_a_terminal_a_hang_up_replaces_the_workers(served):
    before = set(served.children())
    os.kill(served.process.pid, signal.SIGHUP)
    eventually(lambda: len(served.children()) >= 2 and not before & set(served.children()))
    assert eventually(served.answers)


def test_stopping_make_stops_the_server(launch, tmp_path):
    binaries = f"BIN={Path(sys.executable).parent}"
    make, output, port = launch(("make", "-o", ".venv/run.stamp", "run", binaries))
    eventually(lambda: "Ctrl-C stops it" in output.read_text())
    make.terminate()
    make.wait(60)
    eventually(lambda: not Server(tmp_path / "var" / "mongodb").is_alive())
    assert_nothing_left(tmp_path, port)


def test_a_killed_mongod_comes_back_and_keeps_what_was_acknowledged(served):
    acknowledged = []
    for turn in range(3):
        for number in range(30):
            answer = served.http.post(f"{served.storage}/kept/", json={"_id": f"{turn}-{number}"})
            if answer.status_code == 201:
                acknowledged.append(f"{turn}-{number}")
        os.kill(served.mongod(), signal.SIGKILL)
    documents = eventually(
        lambda: (
            answer.json()
            if (answer := served.http.get(f"{served.storage}/kept/?limit=1000")).status_code == 200
            else None
        )
    )
    assert len(acknowledged) >= 60
    assert set(acknowledged) <= {document["_id"] for document in documents}


def test_a_killed_worker_is_replaced(served):
    (first, *_) = served.children()
    os.kill(first, signal.SIGKILL)
    eventually(lambda: len(served.children()) >= 2 and first not in served.children())
    assert eventually(served.answers)


@pytest.mark.servers
def test_killing_the_server_leaves_no_orphans_and_the_next_start_works(served):
    workers = served.children()
    served.http.put(f"{served.storage}/kept/a", json={"n": 1})
    os.kill(served.process.pid, signal.SIGKILL)
    served.process.wait()
    eventually(lambda: not any(map(is_running, workers)))
    again = Served(served.data_dir)
    assert again.http.get(f"{again.storage}/kept/a").json() == {"_id": "a", "n": 1}
    assert again.stop() == 0


@pytest.mark.servers
def test_a_command_shares_the_database_of_a_running_server(served):
    mongod = served.mongod()
    made = subprocess.run(
        [sys.executable, "manage.py", "apikeys", "create", "x", "--scope", "storage:read"],
        cwd=ROOT,
        env=environment(served.data_dir),
        capture_output=True,
        text=True,
        timeout=60,
    )
    key = made.stdout.split()[0]
    assert key.startswith("cgx_"), made.stderr
    assert is_running(mongod)
    answer = httpx.get(f"{served.storage}/none/", headers={"X-API-Key": key})
    assert (answer.status_code, answer.json()) == (200, [])


@pytest.mark.parametrize("length", ["chunked", "short"])
def test_bodies_of_unknown_and_of_wrong_length(served, length):
    head = f"POST /service/storage/v1/raw/ HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {SECRET}\r\n"
    head += "Content-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as raw:
        if length == "chunked":
            body = 'Transfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n4\r\n 12}\r\n0\r\n\r\n'
            raw.sendall((head + body).encode())
            assert raw.recv(100).startswith(b"HTTP/1.1 201")
        else:
            raw.sendall((head + 'Content-Length: 50\r\n\r\n{"a": 1}').encode())
            raw.shutdown(socket.SHUT_WR)
            raw.recv(1000)
    stored = served.http.get(f"{served.storage}/raw/?limit=9").json()
    assert [document["a"] for document in stored] == ([12] if length == "chunked" else [])


def serve(data_dir, *arguments, **more):
    return subprocess.run(
        [sys.executable, "manage.py", "serve", *arguments],
        cwd=ROOT,
        env=environment(data_dir, **more),
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_taken_port_is_one_sentence(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = serve(tmp_path / "var", "--setup", PORT=str(port))
    assert ended.returncode != 0
    assert ended.stderr == (
        f"CommandError: Port {port} is taken: stop what uses it, or set PORT, "
        f"as in `PORT={port + 1} make run`.\n"
    )


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [
        ("127.0.0.1", "70000", "There is no port 70000: set PORT to at most 65535."),
        ("192.0.2.1", "8000", "Cannot listen on 192.0.2.1:8000 (Cannot assign requested address)"),
        ("no.such.invalid", "8000", "Cannot listen on no.such.invalid:8000"),
    ],
)
def test_an_address_it_cannot_have_is_one_sentence(tmp_path, host, port, words):
    # What is served beyond this machine without https is warned of beside.
    https = {"COGLEX_HTTPS": "on", "COGLEX_PUBLIC_URL": "https://api.example.com"}
    ended = serve(tmp_path / "var", "--setup", HOST=host, PORT=port, **https)
    assert ended.returncode != 0
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.servers
def test_without_setup_missing_tables_are_said(tmp_path):
    ended = serve(tmp_path / "var", PORT=str(free_port()))
    assert ended.returncode != 0
    assert "run `manage.py migrate` first" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("name", ["SERVER_SECRET", "DJANGO_SECRET_KEY"])
def test_without_its_secrets_it_does_not_start(tmp_path, name):
    ended = serve(tmp_path / "var", **{name: ""})
    assert ended.returncode != 0
    assert ended.stderr.startswith(f"coglex: {name} is not set.")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PORT", "http", "PORT must be a whole number"),
        ("WEB_WORKERS", "0", "WEB_WORKERS must be a whole number"),
        ("DJANGO_DEBUG", "perhaps", "DJANGO_DEBUG must be on or off"),
        ("SERVER_SECRET", "short", "SERVER_SECRET is too short"),
        ("DATABASE_URL", "postgress://u:pw@db/x", "DATABASE_URL must be a URL such as postgres://"),
        ("DATABASE_URL", "postgres://u:pw@db:x/x", "DATABASE_URL must be a URL such as"),
        ("DATABASE_URL", "db.example.com", "DATABASE_URL must be a URL such as"),
        ("REDIS_URL", "cache.example.com:6379", "REDIS_URL must be a URL such as redis://"),
        ("REDIS_URL", "redis://a,http://:pw@b", "REDIS_URL must be a URL such as redis://"),
    ],
)
def test_a_wrong_setting_is_one_sentence(tmp_path, name, value, words):
    ended = serve(tmp_path / "var", **{name: value})
    assert ended.returncode != 0
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "pw" not in ended.stderr


def test_another_mongodb_is_used_and_nothing_started(tmp_path, mongodb):
    served = Served(tmp_path / "var", MONGODB_URI=mongodb, MONGODB_DATABASE="elsewhere")
    assert served.http.put(f"{served.storage}/kept/a", json={"n": 1}).status_code == 201
    assert not (tmp_path / "var" / "mongodb").exists()
    assert served.stop() == 0


def test_a_mongodb_that_does_not_answer_is_one_sentence(tmp_path):
    uri = f"mongodb://127.0.0.1:{free_port()}/"
    ended = serve(tmp_path / "var", "--setup", PORT=str(free_port()), MONGODB_URI=uri)
    assert ended.returncode != 0
    assert "CommandError: MongoDB does not work" in ended.stderr
    assert "Traceback" not in ended.stderr
