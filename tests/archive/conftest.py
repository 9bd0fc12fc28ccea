"""Clients that upload, a store of each kind, and a real ClamAV."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from django.conf import settings as django_settings

from archive import accesses, records, stores
from archive.drafts import incoming
from archive.records import files
from core.audit import entries
from core.data.client import internal_database
from core.data.encoding import dumps
from tests.archive.samples import EICAR
from tests.conftest import APIClient
from tests.processes import eventually

BASE = "/service/archive/v1"
BOUNDARY = "----coglex"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def part(headers, content):
    return f"--{BOUNDARY}\r\n{headers}\r\n\r\n".encode() + content + b"\r\n"


def file_part(content, filename="hello.txt", name="file"):
    named = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"'
    return part(f"{named}\r\nContent-Type: application/octet-stream", content)


def metadata_part(value):
    raw = value if isinstance(value, bytes) else dumps(value)
    return part('Content-Disposition: form-data; name="metadata"', raw)


def form(*parts):
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


class Uploader(APIClient):
    """A client of the archive."""

    def post(self, body, content_type=FORM, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.generic("POST", f"{BASE}/upload/", body, content_type, headers=named)

    def upload(self, content=b"hello world", filename="hello.txt", metadata=None, **headers):
        parts = [file_part(content, filename)]
        if metadata is not None:
            parts.append(metadata_part(metadata))
        return self.post(form(*parts), **headers)

    def kept(self, *args, **kwargs):
        """The record of a new file."""
        answer = self.upload(*args, **kwargs)
        assert answer.status_code == 201, answer.content
        return answer.json()

    def download(self, file_id, method="GET", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.generic(method, f"{BASE}/download/{file_id}/", headers=named)

    def bytes(self, file_id):
        return b"".join(self.download(file_id).streaming_content)

    def delete_file(self, file_id):
        return self.send("DELETE", f"{BASE}/delete/{file_id}/")

    def listed(self, query="", **headers):
        return self.send("GET", f"{BASE}/list/{query}", **headers)


@pytest.fixture
def api():
    return Uploader()


@pytest.fixture
def api_with():
    from core import apikeys

    def make(*scopes):
        return Uploader(apikeys.create_key(name="test", scopes=list(scopes))[1])

    return make


@pytest.fixture(scope="session")
def s3_server():
    """The address of an S3-compatible server."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def directory(settings, tmp_path):
    """The files' directory of this test's own; and no records of another's."""
    settings.COGLEX_ARCHIVE_DIR = tmp_path / "archive"
    choose_store(settings, "disk")
    yield settings.COGLEX_ARCHIVE_DIR
    accesses.flush()
    for kept in (files, records.owners, records.accesses, records.quotas, entries):
        kept.delete_all({})
    for name in ("archive.files", "archive.chunks"):
        internal_database()[name].delete_many({})


def choose_store(settings, kind, **options):
    store = {**django_settings.ARCHIVE_STORES[kind]}
    if kind == "disk":
        options["location"] = settings.COGLEX_ARCHIVE_DIR / "files"
    if {**store.get("OPTIONS", {}), **options}:
        store["OPTIONS"] = {**store.get("OPTIONS", {}), **options}
    settings.COGLEX_ARCHIVE_STORE = kind
    settings.STORAGES = {**settings.STORAGES, "archive": store}


@pytest.fixture
def s3(settings, request):
    """The archive in a bucket of this test's own."""
    import boto3

    url = request.getfixturevalue("s3_server")
    keys = {"access_key": "test", "secret_key": "test"}
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_bucket(Bucket="files")
    choose_store(
        settings, "s3", bucket_name="files", endpoint_url=url, region_name="us-east-1", **keys
    )
    yield client
    for found in client.list_objects_v2(Bucket="files").get("Contents", []):
        client.delete_object(Bucket="files", Key=found["Key"])
    client.close()


@pytest.fixture(params=["disk", "gridfs", "s3"])
def store(request, settings):
    """The kind of the store that the test runs on."""
    if request.param == "s3":
        request.getfixturevalue("s3")
    else:
        choose_store(settings, request.param)
    return request.param


@pytest.fixture(scope="session")
def clamd(tmp_path_factory):
    """The socket of a real clamd that knows one signature: that of EICAR."""
    program = shutil.which("clamd") or shutil.which("/usr/sbin/clamd")
    if program is None:
        pytest.skip("clamd is not installed")
    directory = tmp_path_factory.mktemp("clamd")
    (directory / "db").mkdir()
    (directory / "db" / "test.ndb").write_text(f"Eicar-Test:0:*:{EICAR.hex()}\n")
    socket = directory / "clamd.sock"
    (directory / "clamd.conf").write_text(
        f"DatabaseDirectory {directory / 'db'}\nLocalSocket {socket}\nForeground yes\n"
        f"TemporaryDirectory {directory}\nStreamMaxLength 1M\nAlertExceedsMax yes\n"
    )
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "-c", str(directory / "clamd.conf")], stdout=log, stderr=log
        )
    try:
        eventually(lambda: socket.exists() or process.poll() is not None, 60)
        assert process.poll() is None, (directory / "log").read_text()
        yield str(socket)
    finally:
        process.terminate()
        process.wait(30)


def nothing_is_kept():
    drafts = list(incoming().iterdir()) if incoming().is_dir() else []
    return not drafts and not list(stores.stored_ids()) and not files.find({})


def failing(error):
    def fail(*_, **__):
        raise error

    return fail
