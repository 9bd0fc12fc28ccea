"""The embedded MongoDB: started by whoever comes first, stopped by whoever goes last."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from pymongo import MongoClient

from core.data import embedded
from core.data.embedded import claims
from core.data.embedded.server import EmbeddedError, Server, find_mongod
from tests.processes import ROOT, eventually, is_running

pytestmark = pytest.mark.slow

USER = """
import sys
from pathlib import Path
from core.data import embedded
print(embedded.attach(Path(sys.argv[1])), flush=True)
sys.stdin.readline()
embedded.release()
"""


class User:
    """A process that uses the server of a data directory until it is told to go."""

    def __init__(self, data_dir: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(data_dir)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def uri(self):
        line = self.process.stdout.readline().strip()
        assert line, self.process.stderr.read()
        return line

    def go(self) -> None:
        _, errors = self.process.communicate("\n", timeout=60)
        assert self.process.returncode == 0, errors

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def data_dir(tmp_path):
    yield tmp_path / "var"
    for root in tmp_path.glob("**/mongodb"):
        if Server(root).is_alive():
            Server(root).stop()


def server(data_dir: Path) -> Server:
    return Server(data_dir / "mongodb")


def pid_of(data_dir: Path) -> int:
    return int((data_dir / "mongodb" / "mongod.pid").read_text())


def write(uri, key):
    with MongoClient(uri, timeoutMS=10_000) as client:
        client.test.things.with_options(
            write_concern=client.write_concern.__class__("majority", j=True)
        ).insert_one({"_id": key})


def read(uri):
    with MongoClient(uri, timeoutMS=10_000) as client:
        return sorted(document["_id"] for document in client.test.things.find())


def test_a_lone_user_starts_it_and_stops_it_again(data_dir):
    user = User(data_dir)
    write(user.uri(), 1)
    pid = pid_of(data_dir)
    assert is_running(pid)
    user.go()
    assert not is_running(pid)
    assert not server(data_dir).is_alive()
    again = User(data_dir)
    assert read(again.uri()) == [1]
    again.go()


def test_it_is_a_replica_set_that_listens_on_no_port(data_dir):
    user = User(data_dir)
    with MongoClient(user.uri()) as client:
        assert client.admin.command("hello")["setName"] == "rs0"
        with client.start_session() as session, session.start_transaction():
            client.test.things.insert_one({}, session=session)
    pid = pid_of(data_dir)
    sockets = {
        target
        for entry in Path(f"/proc/{pid}/fd").iterdir()
        if (target := _target(entry)).startswith("socket:")
    }
    listening = [
        line
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if f"socket:[{line.split()[9]}]" in sockets
    ]
    assert listening == []
    assert not Path("/tmp/mongodb-27017.sock").exists()
    assert (data_dir / "mongodb").stat().st_mode & 0o777 == 0o700
    assert server(data_dir).socket.stat().st_mode & 0o777 == 0o600
    user.go()


def _target(entry):
    """Where a descriptor leads; it may be closed by now."""
    try:
        return str(entry.readlink())
    except FileNotFoundError:
        return ""


def test_users_share_one_until_the_last_goes(data_dir):
    users = [User(data_dir) for _ in range(4)]
    assert len({user.uri() for user in users}) == 1
    pid = pid_of(data_dir)
    for user in users[:3]:
        user.go()
        assert is_running(pid)
    users[3].go()
    assert not is_running(pid)


@pytest.mark.parametrize("rounds", range(2))
def test_killing_users_leaves_it_to_the_next(data_dir, rounds):
    first = User(data_dir)
    write(first.uri(), 1)
    pid = pid_of(data_dir)
    first.kill()
    assert is_running(pid)
    second = User(data_dir)
    assert read(second.uri()) == [1]
    assert pid_of(data_dir) == pid
    second.go()
    assert not is_running(pid)


@pytest.mark.parametrize("rounds", range(3))
def test_killing_it_and_its_users_loses_nothing(data_dir, rounds):
    user = User(data_dir)
    write(user.uri(), 1)
    pid = pid_of(data_dir)
    os.kill(pid, signal.SIGKILL)
    user.kill()
    eventually(lambda: not is_running(pid))
    again = User(data_dir)
    assert read(again.uri()) == [1]
    again.go()


def test_a_stale_socket_and_stale_locks_are_no_obstacle(data_dir):
    user = User(data_dir)
    user.uri()
    os.kill(pid_of(data_dir), signal.SIGKILL)
    user.kill()
    socket = server(data_dir).socket
    assert socket.exists()
    (data_dir / "mongodb" / "mongod.pid").write_text(str(os.getpid()))
    again = User(data_dir)
    write(again.uri(), 1)
    again.go()


def test_a_socket_that_was_swept_away_is_made_again(data_dir):
    user = User(data_dir)
    user.uri()
    server(data_dir).socket.unlink()
    other = User(data_dir)
    write(other.uri(), 1)
    user.go()
    other.go()


@pytest.mark.parametrize(
    "name", ["with space", "comma,and;more", "é日本", "x" * 120, "a" * 60 + "/" + "b" * 60]
)
def test_any_path_will_do(tmp_path, name):
    data_dir = tmp_path / name
    user = User(data_dir)
    write(user.uri(), 1)
    socket = server(data_dir).socket
    assert len(os.fsencode(socket)) <= 103
    if socket.parent != data_dir / "mongodb":
        assert socket.parent.stat().st_mode & 0o777 == 0o700
    user.go()
    assert not server(data_dir).is_alive()
    assert not socket.exists()
    assert socket.parent == data_dir / "mongodb" or not socket.parent.exists()


def test_a_socket_directory_that_was_swept_away_is_made_again(tmp_path):
    data_dir = tmp_path / ("x" * 120)
    with embedded.supervise(data_dir) as uri:
        pid = pid_of(data_dir)
        shutil.rmtree(server(data_dir).socket.parent)
        eventually(lambda: not is_running(pid) and server(data_dir).socket.exists())
        write(uri, 1)
    assert not server(data_dir).is_alive()


def test_supervision_outlives_a_directory_that_is_away(data_dir, monkeypatch):
    said = []
    monkeypatch.setattr(claims.log, "error", lambda event, **more: said.append((event, more)))
    with embedded.supervise(data_dir) as uri:
        write(uri, 1)
        away = data_dir.rename(data_dir.with_name("away"))
        eventually(lambda: said)
        assert not data_dir.exists(), "an empty database in its place would look like lost data"
        away.rename(data_dir)
        os.kill(pid_of(data_dir), signal.SIGKILL)
        eventually(lambda: not server(data_dir).is_alive() or server(data_dir).is_reachable())
        assert read(uri) == [1]
    (event, more) = said[0]
    assert (event, "No such file or directory" in more["reason"]) == ("mongodb_cannot_start", True)
    assert not server(data_dir).is_alive()


def test_a_directory_that_is_gone_for_good_does_not_hinder_the_end(data_dir):
    with embedded.supervise(data_dir):
        pid = pid_of(data_dir)
        os.kill(pid, signal.SIGSTOP)
        # It may write on until the signal has reached all its threads.
        eventually(lambda: shutil.rmtree(data_dir, ignore_errors=True) or not data_dir.exists())
    os.kill(pid, signal.SIGKILL)
    assert not data_dir.exists()


def test_a_fork_has_a_claim_of_its_own(data_dir):
    script = """
import os, sys
from pathlib import Path
from core.data import embedded
data_dir = Path(sys.argv[1])
embedded.attach(data_dir)
go, told = os.pipe()
done, tell = os.pipe()
if os.fork() == 0:
    print(embedded.attach(data_dir), flush=True)
    os.write(tell, b".")
    os.read(go, 1)
    embedded.release()
    print("child", os.path.exists(data_dir / "mongodb" / "mongod.sock"), flush=True)
    os._exit(0)
os.read(done, 1)
embedded.release()
print("parent", os.path.exists(data_dir / "mongodb" / "mongod.sock"), flush=True)
os.write(told, b".")
os.wait()
"""
    ended = subprocess.run(
        [sys.executable, "-c", script, str(data_dir)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    uri, *rest = ended.stdout.splitlines()
    assert uri == server(data_dir).uri
    assert rest == ["parent True", "child False"], ended.stderr


def test_an_interrupt_while_it_starts_leaves_nothing(data_dir):
    for moment in (0.0, 0.05, 0.1, 0.3):
        user = User(data_dir)
        eventually((data_dir / "mongodb" / "start.lock").exists)
        time.sleep(moment)
        user.process.send_signal(signal.SIGINT)
        user.process.communicate(timeout=60)
        assert not server(data_dir).is_alive()
        shutil.rmtree(data_dir)


def test_asking_whether_it_lives_never_hinders_a_start_or_a_stop(data_dir):
    ended = threading.Event()
    (data_dir / "mongodb").mkdir(parents=True)

    def ask() -> None:
        while not ended.is_set():
            server(data_dir).is_alive()

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    try:
        for number in range(2):
            user = User(data_dir)
            write(user.uri(), number)
            user.go()
    finally:
        ended.set()
        for asker in askers:
            asker.join()


def test_one_that_dies_while_it_is_taken_over_is_started_again(data_dir):
    user = User(data_dir)
    write(user.uri(), 1)
    pid = pid_of(data_dir)
    os.kill(pid, signal.SIGSTOP)
    user.kill()
    again = User(data_dir)
    eventually(lambda: not claims._is_unused(server(data_dir)))
    os.kill(pid, signal.SIGKILL)
    assert read(again.uri()) == [1]
    again.go()


def test_a_data_directory_can_be_moved(tmp_path):
    user = User(tmp_path / "old")
    write(user.uri(), 1)
    user.go()
    (tmp_path / "old").rename(tmp_path / "new")
    again = User(tmp_path / "new")
    uri = again.uri()
    write(uri, 2)
    assert read(uri) == [1, 2]
    again.go()


def test_somebody_elses_socket_directory_is_not_used(tmp_path):
    data_dir = tmp_path / ("x" * 120)
    target = server(data_dir).socket.parent
    target.symlink_to(tmp_path)
    try:
        with pytest.raises(EmbeddedError, match="belongs to somebody else"):
            server(data_dir).start()
    finally:
        target.unlink()


def fake(tmp_path, monkeypatch, script):
    """A mongod that does what the script says."""
    binary = tmp_path / "mongod"
    binary.write_text(f"#!/bin/sh\n{script}\n")
    binary.chmod(0o755)
    monkeypatch.setattr("core.data.embedded.server.find_mongod", lambda: binary)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "echo 'mongod: error while loading shared libraries: libcurl.so.4: no' >&2; exit 127",
            "needs the library libcurl.so.4: `apt-get install libcurl4 libssl3`",
        ),
        ("echo 'No space left on device' >> mongod.log; exit 100", "disk of .* is full"),
        ("echo 'Permission denied' >> mongod.log; exit 100", "may not write"),
        ("echo 'UPGRADE PROBLEM' >> mongod.log; exit 62", "another version of MongoDB"),
        ("echo DBPathInUse >> mongod.log; exit 100", "Another mongod uses"),
        ("kill -ILL $$", "AVX"),
        ("exit 3", "exited with status 3"),
    ],
)
def test_why_it_does_not_start_is_one_sentence(data_dir, tmp_path, monkeypatch, script, words):
    fake(tmp_path, monkeypatch, script)
    with pytest.raises(EmbeddedError, match=words) as caught:
        server(data_dir).start()
    assert "\n" not in str(caught.value)


def test_what_it_said_in_an_earlier_run_is_not_the_reason(data_dir, tmp_path, monkeypatch):
    for script, words in (
        ("echo 'No space left on device' >> mongod.log; exit 100", "is full"),
        ("exit 3", "exited with status 3"),
    ):
        fake(tmp_path, monkeypatch, script)
        with pytest.raises(EmbeddedError, match=words):
            server(data_dir).start()


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_directory_that_may_not_be_written_is_one_sentence(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(EmbeddedError, match="Set COGLEX_DATA_DIR"):
        embedded.attach(tmp_path / "var")
    tmp_path.chmod(0o700)


def test_a_place_that_is_no_directory_is_one_sentence(tmp_path):
    (tmp_path / "var").write_text("")
    with pytest.raises(EmbeddedError, match=r"Not a directory\. Set COGLEX_DATA_DIR"):
        embedded.attach(tmp_path / "var")


def test_a_full_disk_is_said_before_the_start(data_dir, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=10 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(EmbeddedError, match="10 MB left, MongoDB needs 300"):
        server(data_dir).start()


def test_a_platform_without_a_binary_is_told_so(monkeypatch):
    assert find_mongod().is_file()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(EmbeddedError, match="MONGODB_URI"):
        find_mongod()
