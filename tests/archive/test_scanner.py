"""The scanner: a real clamd, and peers that do what clamd should not."""

from __future__ import annotations

import socket
import threading

import pytest

from archive import operations, scanner, services, stores
from archive.records import files
from core import audit
from core.errors import ScannerUnavailable, StoredFileNotFound
from tests.archive.conftest import nothing_is_kept
from tests.archive.samples import EICAR, zipped
from tests.conftest import assert_problem


@pytest.fixture
def with_clamd(clamd, settings):
    settings.COGLEX_CLAMD_URL = f"unix://{clamd}"


@pytest.fixture
def peer(settings):
    """A program in the scanner's place, that answers what it is told, when it is told."""
    listening = socket.create_server(("127.0.0.1", 0))
    settings.COGLEX_CLAMD_URL = f"tcp://127.0.0.1:{listening.getsockname()[1]}"
    settings.COGLEX_CLAMD_TIMEOUT_SECONDS = 5
    received = []

    def start(answer, *, early=False):
        def serve():
            connection, _ = listening.accept()
            with connection:
                data = b""
                while not early and not data.endswith(b"\0\0\0\0"):
                    chunk = connection.recv(65536)
                    if not chunk:
                        break
                    data += chunk
                received.append(data)
                if answer is not None:
                    connection.sendall(answer)
                else:
                    connection.recv(65536)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        return received

    yield start
    listening.close()


def test_a_clean_file_is_clean(api, store, with_clamd):
    record = api.kept(b"hello world")
    assert record["security_status"] == "clean"
    assert api.bytes(record["_id"]) == b"hello world"


@pytest.mark.parametrize(
    ("content", "name"),
    [(EICAR, "a.txt"), (zipped(virus=EICAR), "a.zip"), (zipped(zip=zipped(virus=EICAR)), "a.zip")],
    ids=["plain", "zipped", "twice"],
)
def test_malware_is_422_and_audited_and_nothing_is_kept(api, store, with_clamd, content, name):
    problem = assert_problem(api.upload(content, name), 422, "malware_detected")
    assert "Eicar-Test" in problem["detail"]
    assert nothing_is_kept()
    (entry,) = audit.find(action="archive.upload")
    assert (entry["outcome"], entry["target"], entry["principal"]) == ("malware", name, "bootstrap")
    assert entry["details"]["malware"] == "Eicar-Test.UNOFFICIAL"
    assert len(entry["details"]["sha256"]) == 64


def test_a_file_that_is_too_large_for_the_scanner_is_not_kept(api, with_clamd):
    answer = api.upload(b"a line of text\n" * 300_000)
    assert_problem(answer, 503, "scan_refused")
    assert answer["Retry-After"] == "60"
    assert nothing_is_kept()


def test_without_a_scanner_files_are_unscanned_or_refused(api, settings):
    assert api.kept()["security_status"] == "unscanned"
    files.delete_all({})
    settings.COGLEX_ARCHIVE_REQUIRE_SCAN = True
    problem = assert_problem(api.upload(), 503, "scanner_unavailable")
    assert "no scanner" in problem["detail"]


@pytest.mark.parametrize("end", [b"\0", b"\n"])
def test_it_speaks_instream(api, peer, end):
    received = peer(b"stream: OK" + end)
    assert api.kept(b"hello")["security_status"] == "clean"
    assert received == [b"zINSTREAM\0" + b"\0\0\0\5hello" + b"\0\0\0\0"]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0",
        b"OK\0",
        b"stream: OK",
        b"stream: OK\n\0",
        b"stream: OK\0\0 FOUND\0",
        b"stream: ok\0",
        b" stream: OK\0",
        b"stream: OK \0",
        b"stream: FOUND\0",
        b"other: OK\0",
        b"UNKNOWN COMMAND\0",
        b"HTTP/1.1 200 OK\r\n\r\n\0",
        b"stream: \xff\xff FOUND\0",
        b"x" * 100_000,
    ],
    ids=lambda answer: repr(answer[:20]),
)
def test_an_answer_that_is_not_clear_is_503(api, peer, answer):
    peer(answer)
    assert_problem(api.upload(), 503, "scanner_unavailable")
    assert nothing_is_kept()


def test_an_early_answer_counts(api, peer):
    peer(b"INSTREAM size limit exceeded. ERROR\0", early=True)
    assert_problem(api.upload(b"a line of text\n" * 300_000), 503, "scan_refused")
    assert nothing_is_kept()


def test_a_scanner_that_is_too_slow_is_503(api, peer, settings):
    settings.COGLEX_CLAMD_TIMEOUT_SECONDS = 0.1
    peer(None)
    assert_problem(api.upload(), 503, "scanner_unavailable")
    assert nothing_is_kept()


@pytest.mark.parametrize("url", ["unix:///no/such/socket", "tcp://127.0.0.1:1", "tcp://[::1]:1"])
def test_a_scanner_that_is_not_there_is_503(api, settings, url):
    settings.COGLEX_CLAMD_URL = url
    answer = api.upload()
    assert_problem(answer, 503, "scanner_unavailable")
    assert answer["Retry-After"] == "5"
    assert nothing_is_kept()


class TestRescan:
    def test_what_was_unscanned_becomes_clean(self, api, store, clamd, settings):
        record = api.kept()
        settings.COGLEX_CLAMD_URL = f"unix://{clamd}"
        assert operations.rescan(file_id=record["_id"], by="test") == "clean"
        assert services.get_file(file_id=record["_id"])["security_status"] == "clean"
        (entry,) = audit.find(action="archive.rescan")
        assert (entry["principal"], entry["details"]["status"]) == ("test", "clean")

    def test_what_turns_out_infected_is_no_longer_served(self, api, store, clamd, settings):
        record = api.kept(EICAR, "a.txt")
        assert api.bytes(record["_id"]) == EICAR
        settings.COGLEX_CLAMD_URL = f"unix://{clamd}"
        assert operations.rescan(file_id=record["_id"], by="test") == "infected"
        assert_problem(api.download(record["_id"]), 422, "malware_detected")

    def test_what_the_scanner_refuses_is_not_served_either(self, api, clamd, settings):
        record = api.kept(b"a line of text\n" * 300_000)
        settings.COGLEX_CLAMD_URL = f"unix://{clamd}"
        assert operations.rescan(file_id=record["_id"], by="test") == "error"
        assert_problem(api.download(record["_id"]), 503, "scanner_unavailable")

    def test_without_an_answer_nothing_changes(self, api, settings):
        record = api.kept()
        for url in ("", "tcp://127.0.0.1:1"):
            settings.COGLEX_CLAMD_URL = url
            with pytest.raises(ScannerUnavailable):
                operations.rescan(file_id=record["_id"], by="test")
        assert services.get_file(file_id=record["_id"])["security_status"] == "unscanned"

    def test_a_file_without_bytes_is_not_found(self, api, with_clamd):
        record = api.kept()
        stores.remove(record["_id"])
        with pytest.raises(StoredFileNotFound):
            operations.rescan(file_id=record["_id"], by="test")


def test_scanner_is_configured_by_its_address(settings):
    assert not scanner.is_configured()
    settings.COGLEX_CLAMD_URL = "tcp://127.0.0.1:3310"
    assert scanner.is_configured()
