"""The password's hash is nowhere: everything that a request can get is searched for it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from contextlib import suppress
from io import StringIO
from urllib.parse import quote

import pytest
import structlog
from django.core.management import CommandError, call_command

from core import audit, slow
from core.data import monitoring
from core.data.client import internal
from core.data.encoding import dumps
from tests.accounts.conftest import PASSWORD, Person, record_of
from tests.conftest import APIClient
from tests.processes import ROOT, Served, environment

pytestmark = pytest.mark.django_db


def parts(text, length=8):
    """Every part of a text that is that long."""
    return {text[at : at + length] for at in range(len(text) - length + 1)}


def answers(app, admin, people, settings):
    """Everything that routes, admin and commands say of a user, with and without faults."""
    record = record_of(people)
    yield from (app.sign_in(), app.session(), app.send("GET", app.at("sessions")))
    yield app.sign_in(password="wrong horse")
    yield app.sign_up()
    yield app.sign_in(query={"_password": {"$gt": ""}})
    yield app.send("PATCH", app.at("refresh"), {"document": {"age": 3}})
    change = {"_password": PASSWORD + "!", "_current_password": PASSWORD}
    yield app.send("PATCH", app.at("refresh"), change)
    yield app.send("DELETE", app.at("sessions", "others"))
    api = APIClient()
    for path in ("/service/storage/v1/", f"/service/storage/v1/{people}/", "/schema/"):
        yield api.send("GET", path)
    for name in ("users", people, "coglex_internal.users"):
        stage = {"$lookup": {"from": name, "as": "x", "pipeline": []}}
        body = {"pipeline": [{"$unionWith": name}, stage]}
        yield api.send("POST", "/service/storage/v1/anything/aggregate/", body)
        yield api.send("GET", f"/service/storage/v1/{name}/?query={quote('{}')}")
    page = f"/admin/accounts/user/{people}/{record['_id']}/"
    yield admin.get("/admin/accounts/user/", {"collection": people})
    yield admin.get("/admin/accounts/user/", {"collection": people, "query": '{"password": 1}'})
    yield admin.get(page)
    yield admin.post(page, {"action": "password:", "password": "short"}, follow=True)
    yield admin.get("/admin/")
    yield api.send("GET", "/metrics/")
    for name in (people, "users", "coglex_internal.users"):
        yield admin.get(f"/admin/storage/collection/{name}/", follow=True)
        yield admin.get(f"/admin/storage/collection/{name}/indexes/", follow=True)
        yield admin.get(f"/admin/storage/collection/{name}/documents/{record['_id']}/", follow=True)
    yield admin.get("/admin/storage/collection/")
    yield admin.get("/admin/core/auditentry/")
    for form in ("csv", "ndjson"):
        exported = admin.get(f"/admin/core/auditentry/export/{form}/")
        yield b"".join(exported.streaming_content).decode()
    settings.DEBUG = True
    yield admin.get("/admin/nowhere/")
    yield app.send("GET", "/service/auth/v1/nowhere/")
    settings.DEBUG = False
    for arguments in (("list", people), ("show", people, record["_id"])):
        for more in ((), ("--json",)):
            out = StringIO()
            call_command("users", *arguments, *more, stdout=out)
            yield out.getvalue()


def exported(people, directory):
    """Everything that commands write down of all there is."""
    out = StringIO()
    call_command("export", "--output", str(directory), stdout=out)
    for name in ("users", people, "coglex_internal.users"):
        with pytest.raises(CommandError):
            call_command("export", name, "-o", str(directory / "x.ndjson"), stdout=out)
    call_command("collections", "list", stdout=out)
    call_command("audit", "list", "--json", stdout=out)
    for form in ("ndjson", "csv"):
        path = directory / f"audit.{form}"
        call_command("audit", "export", "--format", form, "-o", str(path), stdout=out)
    # What the database was asked, as it is kept for proposals and examinations.
    slow.keep()
    call_command("indexes", "suggest", stdout=out)
    for arguments in ((), ("--json",)):
        with suppress(CommandError):
            call_command("doctor", *arguments, stdout=out)
    yield out.getvalue()
    yield str(list(internal("slow_operations").find()))
    yield from (path.read_text() for path in directory.iterdir())


@pytest.fixture
def all_is_slow(settings):
    """Every operation of the database is logged, and kept with its shape."""
    before, settings.COGLEX_SLOW_MS = settings.COGLEX_SLOW_MS, 0
    yield
    settings.COGLEX_SLOW_MS = before
    monitoring.take_slow()
    internal("slow_operations").delete_many({})


@pytest.mark.usefixtures("all_is_slow")
def test_the_hash_is_nowhere(people, admin_client, settings, capfd, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    app = Person("header", people)
    app.sign_up(name="Ada")
    hashes = [record_of(people)["password"]]
    said = []
    for each in answers(app, admin_client, people, settings):
        hashes.append(record_of(people)["password"])
        said.append(each if isinstance(each, str) else f"{each.content!r} {dict(each.headers)}")
    said.append(json.dumps([str(entry) for entry in audit.find(limit=1000)]))
    said += exported(people, tmp_path)
    captured = capfd.readouterr()
    said += [captured.out, captured.err, caplog.text]
    assert len(set(hashes)) == 2, "the password was changed on the way"
    assert len(said) > 30
    assert "ada@example.com" in "".join(said)
    everything = "\n".join(said)
    assert "slow_operation" in everything
    for name in ("audit.ndjson", "audit.csv"):
        assert "auth.signin" in (tmp_path / name).read_text()
    for stored in set(hashes):
        secret = stored.removeprefix("bcrypt_sha256$$2b$04$")
        assert len(secret) == 53
        found = [part for part in parts(secret) if part in everything]
        assert found == []
    assert PASSWORD not in everything


def test_a_fault_while_signing_in_shows_no_hash(people, monkeypatch, capfd):
    """The error log's traceback and the answer, when the database goes away in between."""
    from accounts import services

    app = Person("header", people)
    app.sign_up()
    secret = record_of(people)["password"][-53:]

    def fail(*given):
        raise RuntimeError("a bug")

    monkeypatch.setattr(services, "_add_session", fail)
    answer = app.sign_in()
    assert answer.status_code == 500
    logged = capfd.readouterr().err
    assert "a bug" in logged
    for part in parts(secret):
        assert part not in logged
        assert part not in answer.content.decode()
    assert PASSWORD not in logged


@pytest.mark.slow
def test_the_hash_is_in_nothing_that_a_server_and_its_commands_write(tmp_path):
    """The metrics of real workers, their log, and what operators ask and export beside them."""
    served = Served(tmp_path / "var", COGLEX_SLOW_MS="1", COGLEX_LOG_LEVEL="DEBUG")
    read = (
        "import django; django.setup()\n"
        "from accounts import records\n"
        "print(records.by_key('people', 'ada@example.com')['password'])"
    )
    commands = (
        ("doctor",),
        ("doctor", "--json"),
        ("export", "-o", "backup", "--json"),
        ("audit", "export"),
        ("audit", "export", "--format", "csv"),
        ("users", "show", "people", "ada@example.com", "--json"),
    )

    def run(*arguments):
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment(
                served.data_dir, DJANGO_SETTINGS_MODULE="coglex_project.settings", **served.more
            ),
            capture_output=True,
            text=True,
            timeout=60,
        )

    try:
        auth = f"{served.url}/service/auth/v1"
        who = {"_key": "ada@example.com", "_password": PASSWORD}
        served.http.post(f"{auth}/signup/people/", json=who).raise_for_status()
        for password, status in ((PASSWORD, 200), ("wrong horse", 401)):
            answer = served.http.post(f"{auth}/signin/people/", json={**who, "_password": password})
            assert answer.status_code == status
        stored = run("-c", read).stdout.strip()
        commands = [
            [str(tmp_path / "backup") if word == "backup" else word for word in each]
            for each in commands
        ]
        ran = [run("manage.py", *each) for each in commands]
        said = "\n".join(each.stdout + each.stderr for each in ran)
        shown = served.http.get(f"{served.url}/metrics").text
    finally:
        served.stop()
    said += shown + served.output.read_text()
    said += "".join(path.read_text() for path in (tmp_path / "backup").rglob("*") if path.is_file())
    assert 'route="service/auth/v1/signin/<str:collection>/"' in shown
    assert "auth.signin" in said
    secret = stored.removeprefix("bcrypt_sha256$$2b$12$")
    assert len(secret) == 53
    assert [part for part in parts(secret) if part in said] == []
    assert PASSWORD not in said


def test_log_lines_mask_what_is_named_like_a_secret(capfd):
    structlog.get_logger("t").error("x", password="hunter22", deep={"_password": "hunter22"})
    assert "hunter22" not in capfd.readouterr().err


def test_the_answer_is_no_bigger_than_what_the_client_may_see(people):
    app = Person("header", people)
    app.sign_up()
    assert set(app.sign_in().json()) == {"_id", "_key"}
    assert (
        dumps(record_of(people)["user"])
        == app.session().content.split(b'"user":')[1].split(b',"session"')[0]
    )
