"""A real nginx with the configuration that is shipped, in front of a real server."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import ssl
import subprocess
from hashlib import sha256

import httpx
import pytest

from core import errors
from core.http.problems import status_of
from tests.archive.peers import UPLOAD
from tests.deployment.shipped import DEPLOY, answers
from tests.processes import SECRET, Served, eventually, free_port

pytestmark = pytest.mark.slow

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
