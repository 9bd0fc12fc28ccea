"""The documentation says what the code does."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class
from django.urls import get_resolver

from core import errors
from core.data.compiler import filters, stages, updates
from core.http.documentation import openapi_document
from core.http.problems import status_of
from tests import pages
from tests.processes import ROOT

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


def test_errors_that_pages_speak_of_are_there():
    """``404 `document_not_found` ``, also where several codes share a status."""
    known = {(str(status_of(kind()).value), kind.code) for kind in classes(errors.CoglexError)}
    # Operators' modules have codes of their own, and pages that speak of these.
    ours = [page for page in pages.PAGES if page.parent != ROOT / "docs/gateway"]
    for page in ours:
        for status, codes in re.findall(
            r"\b([45]\d\d) (`[a-z_]+`(?:, `[a-z_]+`)*)", page.read_text()
        ):
            told = {(status, code) for code in re.findall(r"`(\w+)`", codes)}
            assert told <= known, (page.name, told - known)


def test_the_operators_that_are_listed_are_those_that_are_allowed():
    """Every one of the compiler's, and no other; the geo operators are named together."""
    rows = dict(
        re.findall(
            r"^\| (filter|update|pipeline) \| (.*) \|$",
            (ROOT / "docs/storage.md").read_text(),
            re.MULTILINE,
        )
    )
    listed = {kind: set(re.findall(r"\$\w+", row)) for kind, row in rows.items()}
    geo = {name for name in filters.OPERATORS if re.search("(?i)geo|near|distance", name)}
    top = {"$expr", "$text"}
    assert listed["filter"] == {*filters.OPERATORS} - geo | filters.LOGICAL | top
    modifiers = {"$each", "$slice", "$sort", "$position"}
    assert listed["update"] - modifiers == {*updates.OPERATORS}
    assert listed["pipeline"] == {*stages.STAGES}


def test_the_tree_of_errors_names_every_class():
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__))
    assert drawn == {kind.__name__ for kind in classes(errors.CoglexError)} - {"CoglexError"}


def test_every_setting_is_documented():
    source = (ROOT / "coglex_project/settings.py").read_text()
    read = set(
        re.findall(r'(?:text|positive|whole|flag|words|secret|url)\(\s*"([A-Z0-9_]+)"', source)
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


def test_every_threat_is_tried_by_tests_that_there_are():
    page = (ROOT / "docs/security.md").read_text()
    threats = re.findall(r"^\*\*(\d+)\. .*?(?=^\*\*|^#|\Z)", page, re.MULTILINE | re.DOTALL)
    assert threats == [str(number) for number in range(1, 26)]
    named = re.findall(r"^\*Tested:\* (.*)\.$", page, re.MULTILINE)
    assert len(named) == len(threats)
    for file, test in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", " ".join(named)):
        assert re.search(rf"^ *def {test}\(", (ROOT / file).read_text(), re.MULTILINE), (file, test)
    assert all("::test_" in each for each in named)


def test_every_picture_is_shown_and_small():
    kept = {path.name: path.stat().st_size for path in (ROOT / "docs/images").iterdir()}
    told = {
        Path(target).name
        for page in pages.PAGES
        for target in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text())
    }
    assert told == set(kept)
    assert max(kept.values()) < 150_000


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in pages.PAGES if pages.blocks(page)], ids=lambda page: page.stem
)
def test_what_a_page_shows_of_curl_works_as_shown(page, tmp_path):
    with pages.server(tmp_path) as served:
        said, complaints = pages.run(page, served)
    assert said == pages.shown(page), complaints


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.stem)
def test_what_a_page_shows_of_javascript_parses(page, tmp_path):
    for number, block in enumerate(pages.javascript(page)):
        module = tmp_path / f"{number}.mjs"
        module.write_text(block)
        ran = subprocess.run(["node", "--check", module], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr


def test_no_curl_line_is_left_out():
    """A command outside a block, or in one that is not closed, would not be run above."""
    assert {page.name: pages.outside(page) for page in pages.PAGES} == {
        page.name: [] for page in pages.PAGES
    }
    services = {"accounts", "storage", "archive", "payments", "quickstart", "README"}
    assert services <= {page.stem for page in pages.PAGES if len(pages.shown(page)) >= 8}


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
