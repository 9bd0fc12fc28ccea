"""What operators do: sweep, verify, rescan, by command; and the checks of the settings."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time

import pytest
from django.core.management import CommandError, call_command

from archive import checks, operations, records, stores
from archive.drafts import incoming, new_draft
from archive.records import files
from core import audit
from core.data.documents import new_key
from core.errors import StoredFileNotFound
from tests.archive.conftest import choose_store
from tests.archive.samples import EICAR
from tests.processes import ROOT, eventually

NOTHING: dict[str, list[str]] = {"drafts": [], "orphans": [], "missing": []}


def run(*args, **options):
    out = io.StringIO()
    call_command("archive", *args, stdout=out, **options)
    return out.getvalue()


def run_json(*args, **options):
    return json.loads(run(*args, json=True, **options))


def sweep(**options):
    return operations.sweep(**{"dry_run": False, "by": "test", "min_age": 0, **options})


@pytest.fixture
def orphan(api, store):
    """The id of bytes whose record never came to be."""
    record = api.kept()
    files.delete({"_id": record["_id"]})
    return record["_id"]


class TestSweep:
    def test_what_is_whole_is_left_alone(self, api, store):
        record = api.kept()
        assert sweep() == NOTHING
        assert api.bytes(record["_id"]) == b"hello world"
        assert audit.find(action="archive.sweep") == []

    def test_bytes_without_a_record_are_removed(self, api, orphan):
        record = api.kept()
        assert sweep() == {**NOTHING, "orphans": [orphan]}
        assert list(stores.stored_ids()) == [record["_id"]]
        assert sweep() == NOTHING
        (entry,) = audit.find(action="archive.sweep")
        assert entry["details"] == {"drafts": 0, "orphans": 1}

    def test_uploads_that_broke_off_are_removed(self, directory):
        incoming().mkdir(parents=True)
        left = new_key()
        (incoming() / left).write_bytes(b"half")
        assert sweep() == {**NOTHING, "drafts": [left]}
        assert not list(incoming().iterdir())

    def test_a_dry_run_removes_nothing(self, orphan):
        found = sweep(dry_run=True)
        assert found == {**NOTHING, "orphans": [orphan]}
        assert sweep(dry_run=True) == found
        assert audit.find(action="archive.sweep") == []

    def test_records_without_bytes_are_reported_and_kept(self, api, store):
        record, whole = api.kept(), api.kept()
        stores.remove(record["_id"])
        assert sweep() == {**NOTHING, "missing": [record["_id"]]}
        assert len(files.find({})) == 2
        assert api.bytes(whole["_id"]) == b"hello world"

    def test_what_is_under_way_is_left_alone(self, api, store):
        with new_draft() as draft:
            draft.write(b"hello")
            assert sweep() == NOTHING
            stores.keep(draft)
            assert sweep() == NOTHING
            assert list(stores.stored_ids()) == [draft.id]
        assert sweep() == {**NOTHING, "orphans": [draft.id]}

    def test_what_another_process_writes_is_left_alone(self, directory):
        script = (
            "import os, sys, django\n"
            "django.setup()\n"
            "from pathlib import Path\n"
            "from django.conf import settings\n"
            "settings.COGLEX_ARCHIVE_DIR = Path(sys.argv[1])\n"
            "from archive.drafts import new_draft\n"
            "with new_draft() as draft:\n"
            "    draft.write(b'hello')\n"
            "    print(draft.id, flush=True)\n"
            "    os.read(0, 1)\n"
        )
        writer = subprocess.Popen(
            [sys.executable, "-c", script, str(directory)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"DJANGO_SETTINGS_MODULE": "tests.settings", "PATH": "/usr/bin:/bin"},
        )
        draft_id = writer.stdout.readline().strip()
        assert sweep() == NOTHING
        writer.kill()
        writer.communicate()
        assert sweep() == {**NOTHING, "drafts": [draft_id]}

    def test_in_a_shared_store_what_is_young_is_left_alone(self, orphan, monkeypatch):
        assert sweep(min_age=3600) == NOTHING
        later = time.time() + 3601
        monkeypatch.setattr("archive.operations.time.time", lambda: later)
        assert sweep(min_age=3600) == {**NOTHING, "orphans": [orphan]}

    @pytest.mark.parametrize(
        ("kind", "uri", "age"),
        [
            ("disk", None, 0),
            ("disk", "mongodb://x", 0),
            ("gridfs", None, 0),
            ("gridfs", "mongodb://x", 3600),
            ("s3", None, 3600),
        ],
    )
    def test_a_store_is_shared_where_other_machines_may_write(self, settings, kind, uri, age):
        settings.COGLEX_ARCHIVE_STORE, before = kind, settings.MONGODB_URI
        settings.MONGODB_URI = uri
        try:
            assert operations._min_age() == age
        finally:
            settings.MONGODB_URI = before

    def test_parts_of_a_file_that_gridfs_never_finished_are_removed(self, settings):
        from core.data.client import internal

        choose_store(settings, "gridfs")
        broken = new_key()
        name = stores.stored_name(broken)
        internal("archive.chunks").insert_one({"files_id": name, "n": 0, "data": b"half"})
        assert sweep() == {**NOTHING, "orphans": [broken]}
        assert internal("archive.chunks").count_documents({}) == 0

    def test_what_is_not_ours_is_left_alone(self, api, directory):
        record = api.kept()
        stranger = directory / "files" / record["_id"][-2:] / "notes.txt"
        stranger.write_text("mine")
        assert sweep() == NOTHING
        assert stranger.exists()

    def test_owners_of_files_that_never_came_to_be_are_forgotten(self, api, monkeypatch):
        record = api.kept()
        records.owners.insert({"_id": "0" * 24, "key": "k", "size": 1})
        sweep()
        assert [owner["_id"] for owner in records.owners.find({})] == [record["_id"]]

    def test_the_command_says_what_it_did(self, orphan):
        assert "Would remove 0 uploads that broke off and 1 files" in run(
            "sweep", dry_run=True, min_age=0
        )
        assert run_json("sweep", min_age=0) == {**NOTHING, "orphans": [orphan]}
        assert "Removed 0 uploads" in run("sweep", min_age=0)

    def test_the_command_names_records_without_bytes(self, api):
        record = api.kept()
        stores.remove(record["_id"])
        assert f"{record['_id']}: the record is there, the bytes are gone" in run("sweep")


class TestVerify:
    def test_files_that_are_whole_are_ok(self, api, store):
        for number in range(3):
            api.kept(b"x" * 100_000 * number)
        assert run_json("verify") == {"ok": 3, "damaged": 0, "missing": 0, "files": []}
        assert "3 files are whole" in run("verify")

    @pytest.mark.parametrize("content", [b"hello", b"hello world!", b"Hello world", b""])
    def test_a_file_that_has_changed_is_named(self, api, content, directory):
        api.kept()
        damaged, missing = api.kept(), api.kept()
        (directory / "files" / stores.stored_name(damaged["_id"])).write_bytes(content)
        stores.remove(missing["_id"])
        out = io.StringIO()
        with pytest.raises(CommandError, match="2 files are not"):
            call_command("archive", "verify", "--json", stdout=out)
        assert json.loads(out.getvalue()) == {
            "ok": 1,
            "damaged": 1,
            "missing": 1,
            "files": [
                {"_id": damaged["_id"], "verdict": "damaged"},
                {"_id": missing["_id"], "verdict": "missing"},
            ],
        }

    def test_some_can_be_chosen(self, api):
        api.kept(b"one", "one.txt")
        api.kept(b"two", "two.txt")
        assert run_json("verify", query={"filename": "two.txt"})["ok"] == 1

    def test_many_are_walked_through(self, api, monkeypatch):
        made = [api.kept(b"%d" % number)["_id"] for number in range(5)]
        page = operations.Query
        monkeypatch.setattr(
            "archive.operations.Query", lambda **asked: page(**{**asked, "limit": 2})
        )
        assert [record["_id"] for record, _ in operations.verify()] == made


class TestCommands:
    def test_files_are_listed_and_shown(self, api):
        first, second = api.kept(b"one", "one.txt"), api.kept(b"two", "two.txt")
        assert run_json("list") == [second, first]
        assert run_json("list", query={"filename": "one.txt"}) == [first]
        assert run_json("list", limit=1, skip=1) == [first]
        assert f"{first['_id']}  unscanned            3  one.txt" in run("list")
        api.bytes(first["_id"])
        eventually(lambda: run_json("show", first["_id"])["file"]["downloads"])
        shown = run_json("show", first["_id"])
        assert shown["key"] == "bootstrap"
        assert [entry["principal"] for entry in shown["accesses"]] == ["bootstrap"]

    def test_a_file_is_deleted_after_a_look(self, api):
        record = api.kept()
        assert run_json("delete", record["_id"], dry_run=True) == {"would_delete": record}
        assert "Deleted" in run("delete", record["_id"])
        assert files.find({}) == []
        assert audit.find(action="archive.delete")[0]["principal"] == "cli"
        with pytest.raises(CommandError, match="There is no file with this id"):
            run("delete", record["_id"])
        with pytest.raises(StoredFileNotFound):
            operations.describe(file_id="x")

    def test_files_are_scanned_again(self, api, clamd, settings):
        clean, virus = api.kept(b"one", "one.txt"), api.kept(EICAR, "two.txt")
        settings.COGLEX_CLAMD_URL = f"unix://{clamd}"
        found = run_json("rescan", query={"security_status": "unscanned"})
        assert [(each["_id"], each["security_status"]) for each in found] == [
            (clean["_id"], "clean"),
            (virus["_id"], "infected"),
        ]
        assert run_json("rescan", query={"security_status": "unscanned"}) == []

    def test_without_a_scanner_the_command_says_so(self, api):
        api.kept()
        with pytest.raises(CommandError, match="COGLEX_CLAMD_URL is not set"):
            run("rescan")


class TestChecks:
    @pytest.mark.parametrize(
        "url",
        ["tcp://127.0.0.1:3310", "tcp://clamd", "tcp://[::1]:3310", "unix:///run/clamd.ctl"],
    )
    def test_an_address_of_clamd_is_good(self, settings, url):
        settings.COGLEX_CLAMD_URL = url
        assert checks.check_scanner() == []

    @pytest.mark.parametrize(
        "url", ["127.0.0.1:3310", "http://127.0.0.1", "unix://", "tcp://", "tcp://x:y", "clamd"]
    )
    def test_another_is_an_error(self, settings, url):
        settings.COGLEX_CLAMD_URL = url
        assert [found.id for found in checks.check_scanner()] == ["archive.E001"]

    def test_requiring_scans_without_a_scanner_is_warned_of(self, settings):
        settings.COGLEX_ARCHIVE_REQUIRE_SCAN = True
        assert [found.id for found in checks.check_scanner()] == ["archive.W001"]

    def test_a_store_needs_what_it_needs(self, settings, monkeypatch):
        settings.COGLEX_ARCHIVE_STORE = "s3"
        assert [found.id for found in checks.check_store()] == ["archive.E002"]
        monkeypatch.setattr("archive.checks.find_spec", lambda name: None)
        settings.COGLEX_ARCHIVE_S3_BUCKET = "x"
        assert [found.id for found in checks.check_store()] == ["archive.E003"]

    def test_downloads_are_handed_only_to_what_the_store_is(self, settings):
        settings.COGLEX_ARCHIVE_S3_REDIRECT = True
        assert [found.id for found in checks.check_store()] == ["archive.W003"]
        settings.COGLEX_ARCHIVE_STORE = "gridfs"
        settings.COGLEX_ARCHIVE_ACCEL_REDIRECT = "/x"
        ids = [found.id for found in checks.check_store()]
        assert ids == ["archive.W002", "archive.W003"]
