"""`manage.py doctor` finds what was planted, and says what to do."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import stat
import threading
from collections import namedtuple
from dataclasses import replace
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db.migrations.recorder import MigrationRecorder

from core import diagnosis, slow
from core.data import client as data_client
from core.data import condition, indexes, monitoring
from core.data.client import internal
from core.times import now
from payments import events
from payments.standin.server import Standin
from tests.processes import free_port

pytestmark = pytest.mark.django_db


def examined(**options):
    out = io.StringIO()
    status = 0
    try:
        call_command("doctor", "--json", stdout=out, **options)
    except CommandError:
        status = 1
    return {each["code"]: each for each in json.loads(out.getvalue())}, status


@pytest.fixture(autouse=True)
def healthy(settings):
    """What the settings of tests leave to be desired is put right."""
    settings.SECRET_KEY = "Zk3vQ9pT5mW8xR2yB6nL4cJ7hD1gF0sAaSdFgHjKlQwErTyUiOpZxCv"
    settings.SECURE_SSL_REDIRECT = settings.SESSION_COOKIE_SECURE = True
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = settings.SECURE_HSTS_PRELOAD = True
    settings.DATA_DIR.chmod(0o700)
    indexes.ensure_indexes()
    internal("slow_operations").delete_many({})
    internal("payment_events").delete_many({})
    monitoring.take_slow()
    return User.objects.create_superuser("root")


def test_a_healthy_server_has_nothing_to_mend(capsys):
    assert examined(strict=True) == ({}, 0)
    out = io.StringIO()
    call_command("doctor", stdout=out)
    assert "ok       mongodb" in out.getvalue()


def plant_weak_settings(settings):
    settings.DEBUG = True


def plant_wrong_clamd(settings):
    settings.COGLEX_CLAMD_URL = "http://localhost"


def plant_no_mongodb(settings):
    settings.MONGODB_URI = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100"
    data_client.close()


def plant_old_mongodb(monkeypatch):
    _pretend(monkeypatch, version=(5, 0))


def plant_standalone(monkeypatch):
    _pretend(monkeypatch, topology="standalone")


def plant_another_clock(monkeypatch):
    _pretend(monkeypatch, time=now() + timedelta(minutes=1))


def _pretend(monkeypatch, **told):
    real = condition.describe_server()
    monkeypatch.setattr(condition, "describe_server", lambda: replace(real, **told))


def plant_missing_index():
    internal("users").drop_index("collection_1_user._key_1")


def plant_missing_migration():
    MigrationRecorder.Migration.objects.filter(app="core", name="0002_audit_entry").delete()


def plant_no_operator(healthy):
    healthy.delete()


def plant_no_cache(settings):
    settings.CACHES = {
        "default": {
            "BACKEND": "core.data.rediscache.RedisCache",
            "LOCATION": f"redis://127.0.0.1:{free_port()}",
        }
    }


def plant_full_disk(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, 1024**2))


def plant_open_directory(settings):
    settings.DATA_DIR.chmod(0o755)


def plant_unwritable_directory(monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)


def plant_open_files(settings, tmp_path):
    settings.COGLEX_ARCHIVE_DIR = tmp_path
    tmp_path.chmod(0o707)


def plant_no_bucket(settings):
    settings.COGLEX_ARCHIVE_STORE = "s3"
    backend = {
        "BACKEND": "archive.s3.S3Store",
        "OPTIONS": {
            "bucket_name": "b",
            "endpoint_url": f"http://127.0.0.1:{free_port()}",
            "access_key": "a",
            "secret_key": "s",
            "region_name": "r",
        },
    }
    settings.COGLEX_ARCHIVE_S3_BUCKET = "b"
    settings.STORAGES = {**settings.STORAGES, "archive": backend}


def plant_no_scanner(settings):
    settings.COGLEX_CLAMD_URL = f"tcp://127.0.0.1:{free_port()}"


def plant_old_signatures(settings):
    _listen(settings, b"ClamAV 1.0.9/26000/Mon Jan  5 10:30:20 2015\0")


def plant_another_listener(settings):
    _listen(settings, b"220 mail.example.com\0")


def _listen(settings, answer):
    server = socket.create_server(("127.0.0.1", 0))
    settings.COGLEX_CLAMD_URL = f"tcp://127.0.0.1:{server.getsockname()[1]}"

    def serve():
        with server, server.accept()[0] as connection:
            connection.recv(100)
            connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()


def plant_refused_key(settings, standin):
    settings.STRIPE_SECRET_KEY = "sk_wrong"
    settings.STRIPE_API_BASE = standin.url
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_x"]


def plant_no_webhook_secret(settings, standin):
    settings.STRIPE_SECRET_KEY = "sk_test_x"
    settings.STRIPE_API_BASE = standin.url


def plant_failed_event(settings, standin):
    plant_no_webhook_secret(settings, standin)
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_x"]
    event = {"_id": "evt_1", "type": "x", "state": events.FAILED, "received_at": now()}
    internal("payment_events").insert_one(event)


def plant_slow_operations(monkeypatch, collection, documents):
    documents.insert_one({})
    told = {"collection": collection, "operation": "find", "filter": {"n": "?"}, "sort": {}}
    monkeypatch.setattr(monitoring, "take_slow", lambda: [{**told, "milliseconds": 60_000.0}])
    slow.keep()


FAULTS = {
    plant_weak_settings: "security.W018",
    plant_wrong_clamd: "archive.E001",
    plant_no_mongodb: "mongodb.unreachable",
    plant_old_mongodb: "mongodb.version",
    plant_standalone: "mongodb.standalone",
    plant_another_clock: "mongodb.clock",
    plant_missing_index: "indexes.missing",
    plant_missing_migration: "database.migrations",
    plant_no_operator: "database.operator",
    plant_no_cache: "cache.unusable",
    plant_full_disk: "disk.space",
    plant_open_directory: "disk.permissions",
    plant_unwritable_directory: "disk.unwritable",
    plant_open_files: "disk.permissions",
    plant_no_bucket: "files.store",
    plant_no_scanner: "scanner.unusable",
    plant_another_listener: "scanner.unusable",
    plant_old_signatures: "scanner.old",
    plant_refused_key: "stripe.unusable",
    plant_no_webhook_secret: "payments.W001",
    plant_failed_event: "events.failed",
    plant_slow_operations: "collections.slow",
}


@pytest.fixture
def standin():
    running = Standin()
    running.start()
    yield running
    running.stop()


@pytest.fixture
def connection_kept():
    yield
    data_client.close()


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_each_planted_fault_is_found_with_its_remedy(plant, request, connection_kept):
    names = plant.__code__.co_varnames[: plant.__code__.co_argcount]
    plant(*(request.getfixturevalue(name) for name in names))
    found, status = examined()
    assert FAULTS[plant] in found
    finding = found[FAULTS[plant]]
    assert finding["detail"]
    assert finding["remedy"]
    errors = [each for each in found.values() if each["level"] == "error"]
    assert status == (1 if errors else 0)
    assert examined(strict=True)[1] == 1


def test_the_remedy_of_each_fault_mends_it(settings):
    plant_missing_index()
    plant_open_directory(settings)
    found, _ = examined()
    assert set(found) == {"indexes.missing", "disk.permissions"}
    call_command("indexes", "ensure", stdout=io.StringIO())
    os.system(found["disk.permissions"]["remedy"].split("`")[1])
    assert stat.S_IMODE(settings.DATA_DIR.stat().st_mode) == 0o700
    assert examined() == ({}, 0)


def test_an_examination_that_breaks_is_a_finding(monkeypatch):
    def broken():
        raise OSError("no such device")
        yield

    monkeypatch.setitem(diagnosis._examinations, "disk", broken)
    found, status = examined()
    assert (found["disk.unusable"]["detail"], status) == ("no such device", 1)
