"""The documentation says what the code does."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest
from django.core.management import get_commands, load_command_class
from django.urls import get_resolver

from core import errors
from core.http.documentation import openapi_document
from core.http.problems import status_of
from payments.standin.server import Standin
from tests.processes import ROOT, SECRET, Served

OPERATIONS = ROOT / "docs/operations.md"


def classes(kind):
    """The tree of errors; modules of the gateway document their own."""
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from classes(below)


def test_every_error_code_is_documented_with_its_status():
    rows = re.findall(
        r"^\| (\d{3}) \| `(\w+)` \|", (ROOT / "docs/errors.md").read_text(), re.MULTILINE
    )
    known = {(str(status_of(kind()).value), kind.code) for kind in classes(errors.CoglexError)}
    assert set(rows) == known


def test_the_tree_of_errors_names_every_class():
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__))
    assert drawn == {kind.__name__ for kind in classes(errors.CoglexError)} - {"CoglexError"}


def test_every_setting_is_documented():
    source = (ROOT / "coglex_project/settings.py").read_text()
    read = set(
        re.findall(r'(?:text|positive|whole|flag|words|secret|db_url)\(\s*"([A-Z0-9_]+)"', source)
    )
    table = (ROOT / "docs/settings.md").read_text()
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`([A-Z0-9_]+)`", row.split("|")[1])}
    assert documented == read


def our_commands():
    """``manage.py`` commands of the project with their sub-commands."""
    ours = {"core", "accounts", "storage", "archive", "payments", "gateway.kit"}
    for name, app in get_commands().items():
        if app in ours:
            parser = load_command_class(app, name).create_parser("manage.py", name)
            named = [action.choices for action in parser._actions if action.dest == "command"]
            yield from (f"{name} {each}" for each in named[0]) if named else (f"manage.py {name}",)


def test_every_command_is_documented_and_no_other():
    table = re.findall(r"^\| (`manage.py .*?) \|", OPERATIONS.read_text(), re.MULTILINE)
    told = {name for row in table for name in re.findall(r"`(.*?)`", row)}
    short = {name.removeprefix("manage.py ") for name in told}
    assert short == {name.removeprefix("manage.py ") for name in our_commands()}


def test_every_route_is_documented_with_its_methods():
    rows = re.findall(
        r"^\| (`/.*?) \| (.*?) \|", (ROOT / "docs/routes.md").read_text(), re.MULTILINE
    )
    told = {path: methods for paths, methods in rows for path in re.findall(r"`(.*?)`", paths)}
    described = json.loads(openapi_document())["paths"]
    expected = {path: ", ".join(item).upper() for path, item in described.items()}
    services = {path: methods for path, methods in told.items() if path.startswith("/service")}
    assert services == {p: m for p, m in expected.items() if p.startswith("/service")}
    beside = {f"/{pattern.pattern}".rstrip("/") for pattern in get_resolver().url_patterns}
    known = {path for path in beside if not path.startswith(("/service", "/^", "/gateway"))}
    assert {path for path in told if not path.startswith(("/service", "/gateway"))} == known


def test_the_dashboard_shows_metrics_that_there_are():
    board = json.loads((ROOT / "docs/grafana.json").read_text())
    asked = {
        re.sub("_(count|bucket|sum)$", "", name)
        for panel in board["panels"]
        for target in panel["targets"]
        for name in re.findall(r"coglex_\w+", target["expr"])
    }
    there = set(re.findall(r'"(coglex_\w+)"', (ROOT / "core/metrics.py").read_text()))
    assert asked == there
    assert there <= set(re.findall(r"^\| `(coglex_\w+)`", OPERATIONS.read_text(), re.MULTILINE))


def test_links_between_pages_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), (page.name, target)


def what_changes(line):
    """A line of an answer without its times and generated keys."""
    line = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", line)
    return re.sub(r'"_id":"[0-9a-f]{24}"', '"_id":"KEY"', line)


@pytest.mark.slow
def test_the_readmes_curl_lines_work_as_shown(tmp_path):
    """Run as written, but for the port and the key; every answer is as printed."""
    blocks = re.findall(
        r"^```\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    script = "\n".join(block for block in blocks if "curl " in block)
    shown = re.findall(r"^# (.*)$", script, re.MULTILINE)
    standin = Standin(webhook="below")
    standin.state.add_prices()
    served = Served(
        tmp_path / "var",
        STRIPE_SECRET_KEY="sk_test_standin",
        STRIPE_WEBHOOK_SECRET=standin.secret,
        STRIPE_API_BASE=standin.url,
    )
    standin.webhook = f"{served.url}/service/payment/v1/webhook/"
    standin.start()
    try:
        script = script.replace("$(cat var/server_secret)", SECRET)
        script = script.replace("http://127.0.0.1:8000", served.url)
        script = script.replace("curl ", "curl -s -w '\\n' ")
        ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    finally:
        served.stop()
        standin.stop()
    assert len(shown) >= 8
    assert list(map(what_changes, ran.stdout.splitlines())) == list(map(what_changes, shown))


@pytest.mark.skipif(shutil.which("spectral") is None, reason="spectral is not installed")
def test_the_openapi_document_lints_clean(client, tmp_path):
    (tmp_path / "openapi.json").write_bytes(client.get("/schema").content)
    (tmp_path / ".spectral.yaml").write_text("extends: ['spectral:oas']\n")
    ran = subprocess.run(
        ["spectral", "lint", "--fail-severity=hint", "openapi.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout
