"""What is shipped to run the server in production: checked, and run as far as a machine without
a container engine can. The container's command runs in a name space of its own, read-only, as the
image's user; nginx, MongoDB, PostgreSQL and Redis are real."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import ssl
import subprocess
import sys
import sysconfig
import uuid
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path

import httpx
import psycopg
import pytest
import yaml
from pymongo import MongoClient
from redis import Redis
from redis.exceptions import RedisError

from core import errors, serving
from core.data.embedded.server import find_mongod
from core.http.problems import status_of
from tests.archive.peers import UPLOAD
from tests.processes import ROOT, SECRET, Served, eventually, free_port

DEPLOY = ROOT / "docs/deploy"
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
UNIT = (DEPLOY / "coglex.service").read_text()
OURS = ("coglex", "migrate")


def documented_settings():
    rows = re.findall(r"^\| (`[^|]*)", (ROOT / "docs/settings.md").read_text(), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([A-Z0-9_]+)`", row)}


def instruction(name):
    """What follows ``name`` in the Dockerfile, a JSON list."""
    return json.loads(re.search(rf"^{name} (\[.*\])$", DOCKERFILE, re.MULTILINE)[1])


def needs(*programs):
    missing = [name for name in programs if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def test_every_setting_that_is_shipped_is_documented():
    used = {name for service in OURS for name in COMPOSE["services"][service]["environment"]}
    used |= set(re.findall(r"# ([A-Z_]+): /run/secrets", (ROOT / "compose.yaml").read_text()))
    used |= set(re.findall(r"([A-Z_]+)=(?:%|/)", UNIT))
    used |= set(re.findall(r"^#?([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    used |= set(re.findall(r"^    ((?:COGLEX|HOST|PORT)\w*)=", DOCKERFILE, re.MULTILINE))
    named = {name.removesuffix("_FILE") for name in used}
    assert len(named) > 15
    assert named - documented_settings() == {"DOMAIN"}, "DOMAIN is compose's own"


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_each_container_can_do_little(name):
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "/tmp" in service["tmpfs"]
    assert service["restart"] == (
        "no" if name in {"migrate", "mongodb-setup"} else "unless-stopped"
    )
    assert "healthcheck" in service or name == "coglex", "the server's is in its image"
    assert "privileged" not in service
    assert ("ports" in service) == (name == "nginx")
    for secret in service.get("secrets", []):
        assert secret in COMPOSE["secrets"]
    given = service.get("environment", {}).values()
    used = {value.removeprefix("/run/secrets/") for value in given if "/run/secrets" in value}
    assert used <= set(service.get("secrets", []))


def test_containers_are_given_longer_to_stop_than_the_server_needs():
    grace = int(COMPOSE["services"]["coglex"]["stop_grace_period"].removesuffix("s"))
    assert grace > serving.STOP_SECONDS
    assert int(re.search(r"TimeoutStopSec=(\d+)", UNIT)[1]) > serving.STOP_SECONDS + 30


def test_the_proxy_is_trusted_and_nobody_else():
    services = COMPOSE["services"]
    address = services["nginx"]["networks"]["front"]["ipv4_address"]
    assert services["coglex"]["environment"]["COGLEX_TRUSTED_PROXIES"] == address
    upstream = services["coglex"]["networks"]["front"]["ipv4_address"]
    assert f"server {upstream}:8000;" in (DEPLOY / "nginx.conf").read_text()


@needs("hadolint")
def test_the_dockerfile_lints_clean():
    ran = subprocess.run(["hadolint", ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "")


@needs("systemd-analyze")
def test_systemd_understands_the_unit_and_finds_it_safe(tmp_path):
    unit = tmp_path / "coglex.service"
    unit.write_text(UNIT.replace("/opt/coglex/.venv", sys.prefix).replace("/opt/coglex", str(ROOT)))
    ran = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", unit],
        capture_output=True,
        text=True,
    )
    assert judged.returncode == 0, judged.stdout[-200:]


def documented_block(page, first):
    """The shell lines of a page that begin with ``first``."""
    blocks = re.findall(r"^```\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    return next(block for block in blocks if block.startswith(first))


@pytest.fixture
def secrets(tmp_path):
    """The directory that docs/docker.md makes."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    lines = documented_block("docs/docker.md", "mkdir -m 700 secrets")
    subprocess.run(["sh", "-ec", lines], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path / "secrets"


def test_the_page_makes_each_secret_that_compose_names(secrets):
    named = {Path(each["file"]).name for each in COMPOSE["secrets"].values()}
    assert {path.name for path in secrets.iterdir()} == named
    assert secrets.stat().st_mode & 0o777 == 0o700
    # Containers run as other users than the one who made them.
    assert {path.stat().st_mode & 0o777 for path in secrets.iterdir()} == {0o644}
    made = {path.name: path.read_text().strip() for path in secrets.iterdir()}
    assert len(set(made.values())) == len(made)
    assert made["postgres_password"] in made["database_url"]
    assert made["redis_url"].split("@")[0].removeprefix("redis://:") in made["redis_conf"]


# --- MongoDB and Redis as compose.yaml starts them -----------------------------------------


@contextmanager
def mongod(directory, port, *options):
    """MongoDB on a port of this machine; waits until it answers."""
    directory.mkdir(exist_ok=True)
    command = [find_mongod(), "--dbpath", directory, "--port", str(port), "--bind_ip", "127.0.0.1"]
    with (directory.parent / "mongod.out").open("wb") as out:
        process = subprocess.Popen(
            [*command, "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25", *options],
            stdout=out,
            stderr=out,
        )
    try:
        with MongoClient(f"mongodb://127.0.0.1:{port}/?directConnection=true") as client:
            client.admin.command("hello")
            yield client
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def composed_mongodb(secrets):
    """MongoDB as its image and mongodb-setup leave it; yields its MONGODB_URI."""
    password = (secrets / "mongodb_root_password").read_text().strip()
    directory, port = secrets.parent / "db", free_port()
    with mongod(directory, port) as client:
        client.admin.command("createUser", "root", pwd=password, roles=["root"])
    keyfile = secrets.parent / "keyfile"
    keyfile.write_bytes((secrets / "mongodb_keyfile").read_bytes())
    keyfile.chmod(0o400)
    uri = (secrets / "mongodb_uri").read_text().replace("mongodb:27017", f"127.0.0.1:{port}")
    (secrets / "mongodb_uri").write_text(uri)
    with mongod(directory, port, "--replSet", "rs0", "--keyFile", keyfile, "--oplogSize", "50"):
        yield uri.strip()


def set_up_mongodb(secrets):
    given = COMPOSE["services"]["mongodb-setup"]["environment"]
    env = {name: value.replace("/run/secrets", str(secrets)) for name, value in given.items()}
    return subprocess.run(
        [sys.executable, DEPLOY / "mongodb_setup.py"], env=env, capture_output=True, text=True
    )


@pytest.mark.slow
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
            with pytest.raises(Exception, match="not authorized"):
                client.elsewhere.things.insert_one({"_id": 1})


@contextmanager
def composed_redis(secrets):
    """Redis with the options and the file that compose.yaml gives it; yields its REDIS_URL."""
    program, conf = COMPOSE["services"]["redis"]["command"]
    port = free_port()
    conf = conf.replace("/run/secrets", str(secrets))
    process = subprocess.Popen(
        [program, conf, "--port", str(port), "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL
    )
    url = (secrets / "redis_url").read_text().strip().replace("redis:6379", f"127.0.0.1:{port}")
    try:
        with Redis.from_url(url) as client:
            eventually(lambda: pings(client))
        yield url
    finally:
        process.terminate()
        process.wait(20)


def pings(client):
    try:
        return client.ping()
    except RedisError:
        return False


@needs("redis-server")
def test_redis_wants_the_password_and_keeps_nothing(secrets):
    with composed_redis(secrets) as url:
        with Redis.from_url(url) as client:
            assert client.config_get("save") == {"save": ""}
            assert client.config_get("appendonly") == {"appendonly": "no"}
        with Redis.from_url(re.sub("//.*@", "//", url)) as nobody:
            assert not pings(nobody)


# --- the container -------------------------------------------------------------------------

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
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
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


@pytest.mark.slow
@needs("redis-server", "unshare")
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
        assert container.run("sh", "-c", "touch /mnt/app/x /mnt/x /x") != (0, "")
        assert not (container.app / "x").exists()

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


def answers(http, url, process):
    assert process.poll() is None, process.stdout.read() if process.stdout else ""
    try:
        return http.get(url).status_code == 200
    except httpx.TransportError:
        return False


# --- nginx ---------------------------------------------------------------------------------

CLIENT = "127.0.0.2"


@pytest.fixture
def behind_nginx(tmp_path):
    """A client of nginx, with docs/deploy/nginx.conf but for ports and paths; and the server."""
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if program is None or shutil.which("openssl") is None:
        pytest.skip("nginx or openssl is not installed")
    served = Served(
        tmp_path / "var",
        DJANGO_ALLOWED_HOSTS="127.0.0.1",
        COGLEX_HTTPS="on",
        COGLEX_PUBLIC_URL="https://localhost",
        COGLEX_TRUSTED_PROXIES="127.0.0.1",
        COGLEX_ARCHIVE_ACCEL_REDIRECT="/protected",
        COGLEX_RATE_SIGNIN_ADDRESS="3/h",
    )
    plain, secure = free_port(), free_port()
    certificate = f"{tmp_path}/tls_certificate"
    subprocess.run(
        shlex.split(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
            f"-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 "
            f"-keyout {tmp_path}/tls_key -out {certificate}"
        ),
        check=True,
        capture_output=True,
    )
    adapted = (DEPLOY / "nginx.conf").read_text()
    for shipped, here in {
        "172.30.83.2:8000": f"127.0.0.1:{served.port}",
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ssl;": f"listen 127.0.0.1:{secure} ssl;",
        "listen [::]:80;": f"listen [::1]:{plain};",
        "listen [::]:443 ssl;": f"listen [::1]:{secure} ssl;",
        "/run/secrets/": f"{tmp_path}/",
        "/srv/coglex/archive/": f"{tmp_path}/var/archive/",
        "/var/log/nginx/": f"{tmp_path}/",
    }.items():
        assert shipped in adapted
        adapted = adapted.replace(shipped, here)
    (tmp_path / "coglex.conf").write_text(adapted)
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/nginx.pid; error_log {tmp_path}/error.log;\n"
        f"user root; events {{}}\nhttp {{ client_body_temp_path {tmp_path}/body;\n"
        f"include {tmp_path}/coglex.conf; }}\n"
    )
    said = subprocess.run([program, "-t", "-c", tmp_path / "nginx.conf"], capture_output=True)
    assert said.returncode == 0, said.stderr
    assert b"[warn]" not in said.stderr
    nginx = subprocess.Popen([program, "-c", tmp_path / "nginx.conf"], stderr=subprocess.DEVNULL)
    context = ssl.create_default_context(cafile=certificate)
    try:
        with httpx.Client(
            base_url=f"https://127.0.0.1:{secure}",
            headers={"X-API-Key": SECRET},
            # Not the address of the proxy, which is trusted.
            transport=httpx.HTTPTransport(verify=context, local_address=CLIENT),
            timeout=60,
        ) as http:
            eventually(lambda: answers(http, "/healthz", nginx))
            yield http, served, f"http://127.0.0.1:{plain}", tmp_path
    finally:
        nginx.terminate()
        nginx.wait(20)
        served.stop()


@pytest.mark.slow
def test_nginx_as_shipped_carries_files_addresses_and_errors(behind_nginx):
    http, served, plain, tmp_path = behind_nginx
    files_go_through(http)
    too_much_is_refused(http)
    addresses_are_the_clients(http, served)
    operators_can_sign_in(http)
    answer = httpx.get(f"{plain}/docs/?a=b", headers={"Host": "api.example.com"})
    assert answer.status_code == 308
    assert answer.headers["Location"] == "https://api.example.com/docs/?a=b"
    refused(httpx.get(f"{plain}/service/storage/v1/", headers={"X-API-Key": SECRET}), 403)
    assert served.stop() == 0
    answer = http.get("/service/storage/v1/")
    refused(answer, 503)
    assert answer.headers["Retry-After"] == "5"
    logged = (tmp_path / "access.log").read_text()
    assert "/service/archive/v1/link" in logged
    assert "signature" not in logged
    assert "?" not in logged


def refused(answer, status):
    """An error that has the form of all errors, also where nginx made it."""
    body = answer.json()
    kind = next(each for each in kinds(errors.CoglexError) if each.code == body["code"])
    assert (answer.status_code, status_of(kind()).value, body["status"]) == (status,) * 3
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (body["type"], body["title"]) == (f"urn:coglex:problem:{kind.code}", kind.title)
    assert body["detail"]
    assert body["request_id"] == answer.headers["X-Request-ID"]


def kinds(kind):
    yield kind
    for below in kind.__subclasses__():
        yield from kinds(below)


def files_go_through(http):
    content = os.urandom(64) * (96 * 1024 * 1024 // 64)
    record = http.post(UPLOAD, files={"file": ("large.bin", content)}).json()
    assert record["size"] == len(content)
    download = http.get(f"/service/archive/v1/download/{record['_id']}/")
    assert sha256(download.content).hexdigest() == record["sha256"]
    assert "X-Accel-Redirect" not in download.headers
    assert re.fullmatch("[0-9a-f]{32}", download.headers["X-Request-ID"])
    assert download.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    stored = f"/protected/{record['_id'][-2:]}/{record['_id']}"
    assert http.get(stored).status_code == 404
    made = http.post(f"/service/archive/v1/link/{record['_id']}/", json={"expires_in": 60}).json()
    link = made["url"].removeprefix("https://localhost")
    linked = http.get(link, headers={"X-API-Key": "", "Range": "bytes=0-9"})
    assert (linked.status_code, linked.content) == (206, content[:10])


def too_much_is_refused(http):
    content = b"\0" * (101 * 1024 * 1024)
    answer = http.post(UPLOAD, files={"file": ("a.bin", content)})
    assert answer.json()["code"] == "file_too_large"
    refused(answer, 413)
    refused(http.post("/service/storage/v1/a/", content=content + content), 413)
    wrong = {"X-API-Key": "cgx_wrong"}
    refused(http.post(UPLOAD, files={"file": ("a.bin", content[:9000])}, headers=wrong), 401)


def addresses_are_the_clients(http, served):
    """nginx says who asks; what the client says of itself changes nothing."""
    guess = {"_key": "ada", "_password": "a wrong password"}
    statuses = [
        http.post(
            "/service/auth/v1/signin/customers/",
            json=guess,
            headers={"X-Forwarded-For": f"198.51.100.{number}", "X-Forwarded-Proto": "http"},
        ).status_code
        for number in range(4)
    ]
    assert statuses == [401, 401, 401, 429]
    said = [
        json.loads(line) for line in served.output.read_text().splitlines() if "/signin" in line
    ]
    assert {line["address"] for line in said if "address" in line} == {CLIENT}


def operators_can_sign_in(http):
    page = http.get("/admin/login/")
    assert page.headers["Strict-Transport-Security"].startswith("max-age=")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
    form = {"csrfmiddlewaretoken": token, "username": "admin", "password": "a wrong one"}
    answer = http.post("/admin/login/", data=form, headers={"Origin": str(http.base_url)})
    assert (answer.status_code, "errornote" in answer.text) == (200, True)
