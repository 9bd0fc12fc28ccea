"""A real nginx in front, set up as docs/archive.md says: it sends the bytes."""

from __future__ import annotations

import re
import shutil
import subprocess
from hashlib import sha256

import httpx
import pytest

from tests.archive.peers import UPLOAD
from tests.processes import ROOT, SECRET, Served, eventually, free_port

pytestmark = pytest.mark.slow


@pytest.fixture
def behind_nginx(tmp_path):
    """The address of nginx, and the server behind it."""
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if program is None:
        pytest.skip("nginx is not installed")
    running = Served(tmp_path / "var", COGLEX_ARCHIVE_ACCEL_REDIRECT="/protected")
    documented = re.search(
        r"```\n(location /protected/ {.*?\n})\n```",
        (ROOT / "docs/archive.md").read_text(),
        re.DOTALL,
    )
    location = documented.group(1).replace(
        "/srv/coglex/var/archive/files/", f"{tmp_path}/var/archive/files/"
    )
    port = free_port()
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/nginx.pid; error_log {tmp_path}/error.log;\n"
        "user root; events {}\n"
        f"http {{ access_log off; client_max_body_size 200m; client_body_temp_path {tmp_path};\n"
        f"server {{ listen 127.0.0.1:{port};\n"
        f"location / {{ proxy_pass {running.url}; proxy_set_header Host $http_host; }}\n"
        f"{location} }} }}\n"
    )
    nginx = subprocess.Popen([program, "-c", tmp_path / "nginx.conf"], stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(headers={"X-API-Key": SECRET}) as http:
            eventually(lambda: answers(http, f"{url}/healthz"))
            yield http, url
    finally:
        nginx.terminate()
        nginx.wait(20)
        running.stop()


def answers(http, url):
    try:
        return http.get(url).status_code == 200
    except httpx.TransportError:
        return False


def test_nginx_sends_the_bytes_of_what_may_be_downloaded(behind_nginx):
    http, url = behind_nginx
    content = bytes(range(1, 255)) * 9000
    record = http.post(url + UPLOAD, files={"file": ("a.bin", content)}).json()
    address = f"{url}/service/archive/v1/download/{record['_id']}/"
    answer = http.get(address)
    assert (answer.status_code, sha256(answer.content).hexdigest()) == (200, record["sha256"])
    assert answer.headers["Server"].startswith("nginx")
    assert "X-Accel-Redirect" not in answer.headers
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="a.bin"')
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    ranged = http.get(address, headers={"Range": "bytes=100-199"})
    assert (ranged.status_code, ranged.content) == (206, content[100:200])
    stored = f"{url}/protected/{record['_id'][-2:]}/{record['_id']}"
    assert http.get(stored).status_code == 404
    assert http.get(address, headers={"X-API-Key": "x"}).status_code == 401
