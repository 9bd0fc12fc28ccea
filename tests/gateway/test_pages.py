"""Each module has a page that names its routes."""

from __future__ import annotations

import json
import re

import pytest

from core.http.documentation import openapi_document
from gateway.kit import modules
from tests.processes import ROOT

NAMES = [modules.folder_of(entry).partition(".")[0] for entry in modules.installed()]


@pytest.mark.parametrize("name", NAMES)
def test_every_route_of_a_module_is_on_its_page_with_its_methods(name):
    page = (ROOT / f"docs/gateway/{name}.md").read_text()
    told = dict(re.findall(r"^\| `(/gateway/.*?)` \| (.*?) \|", page, re.MULTILINE))
    described = json.loads(openapi_document())["paths"]
    assert told == {
        path: ", ".join(item).upper()
        for path, item in described.items()
        if path.startswith(f"/gateway/{name}/")
    }
    assert told


def test_no_module_is_broken():
    assert modules.faults == {}
