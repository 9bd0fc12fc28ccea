"""Modules: made by a command, found, closed by default, and unable to take others down."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.processes import SECRET, Served

pytestmark = pytest.mark.slow

APPS = """
from gateway.kit.modules import ModuleConfig

class Config(ModuleConfig):
    name = "gateway.{name}"
"""
URLS = """
from django.http import HttpResponse
from django.urls import include, path
from django.views import View
from rest_framework.response import Response
from rest_framework.views import APIView
from core.http.permissions import authenticated, protected, public

class Plain(View):
    def get(self, request):
        return HttpResponse("open")

class Rest(APIView):
    def get(self, request):
        return Response("open")

def function(request):
    return HttpResponse("open")

urlpatterns = [
    path("function/", function),
    path("plain/", Plain.as_view()),
    path("rest/", Rest.as_view()),
    path("below/", include([path("deep/", function)])),
    path("public/", public(function)),
    path("key/", protected("gateway", "{name}")(function)),
    path("session/", authenticated("customers")(lambda request, user: HttpResponse("x"))),
]
"""
BROKEN = {
    "b_syntax": {"urls.py": "urlpatterns = [\n"},
    "b_urls": {"urls.py": "import no_such_package\n"},
    "b_nothing": {"urls.py": ""},
    "b_apps": {"apps.py": "1 / 0\n"},
    "b_exit": {"apps.py": "raise SystemExit\n"},
    "b_none": {"apps.py": ""},
    "b_label": {"apps.py": APPS.replace("{name}", "module")},
    "b_ready": {"apps.py": APPS.replace("{name}", "b_ready") + "    def ready(self): self.x\n"},
    "b_models": {"models.py": "from nowhere import Model\n"},
    "b_admin": {"admin.py": "raise ValueError('admin\\nlines')\n"},
    "b_migrations": {
        "migrations/__init__.py": "",
        "migrations/0001_initial.py": "from x_y import z",
    },
    "b_tags": {"templatetags/__init__.py": "", "templatetags/words.py": "raise KeyError('k')\n"},
    "Not-a-name": {},
}


def add(project, name, **files):
    given = {"__init__.py": "", "apps.py": APPS, "urls.py": URLS, **files}
    for file, text in given.items():
        project.write(f"gateway/{name}/{file}", text.replace("{name}", name))


@pytest.fixture
def serve(tmp_path, project):
    running = []

    class Copy(Served):
        root = project.root

    def start():
        running.append(Copy(tmp_path / "var", WEB_WORKERS="1"))
        return running[-1]

    yield start
    for each in running:
        each.stop()


def status(served, path, **headers):
    return httpx.get(f"{served.url}{path}", headers=headers).status_code


def test_a_broken_module_is_named_and_the_others_are_served(project, serve):
    for name in ("shop", "storage", "urls", "core"):
        add(project, name)
    for name, files in BROKEN.items():
        add(project, name, **files)
    served = serve()
    shown = ["/gateway/shop/public", "/healthz", "/admin/login/"]
    for path in [*shown, *(f"/gateway/{n}/public/" for n in ("shop", "storage", "urls", "core"))]:
        assert status(served, path) == 200
    assert status(served, "/gateway/module/stock/", **{"X-API-Key": SECRET}) == 200
    said = served.output.read_text()
    for name in BROKEN:
        assert f"The module {name} is not served. " in said
        answer = httpx.get(f"{served.url}/gateway/{name}/public/")
        assert (answer.status_code, answer.json()["code"]) == (503, "module_unavailable")
        assert answer.headers["Retry-After"]
        assert "Error" not in answer.text
    assert "ModuleNotFoundError: No module named 'no_such_package' (gateway/b_urls/urls.py" in said
    assert "its name is 'gateway.module', which is another's" in said
    assert status(served, "/gateway/none/") == 404
    found = json.loads(project.run("manage.py", "doctor", "--json").stdout)
    assert {each["code"] for each in found} >= {"gateway.W001"}


def test_nothing_is_open_that_does_not_say_so(project, serve):
    add(project, "shop")
    served = serve()
    for route in ("function", "plain", "rest", "below/deep"):
        answer = httpx.get(f"{served.url}/gateway/shop/{route}/", headers={"X-API-Key": SECRET})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), route
        warned = f"Nobody may call /gateway/shop/{route}/" in served.output.read_text()
        assert warned == (route != "rest")
    assert status(served, "/gateway/shop/public/") == 200
    assert status(served, "/gateway/shop/key/") == 401
    assert status(served, "/gateway/shop/key/", **{"X-API-Key": SECRET}) == 200
    assert status(served, "/gateway/shop/session/", **{"X-API-Key": SECRET}) == 401


def test_a_new_module_passes_its_test_and_is_in_the_openapi_document(project):
    made = json.loads(project.manage("startgateway", "wine_bar", "--json").stdout)
    assert "tests/gateway/test_wine_bar.py" in made["files"]
    ran = project.run(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/gateway/test_wine_bar.py"
    )
    assert "8 passed" in ran.stdout, ran.stdout + ran.stderr
    ran = project.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/gateway/test_pages.py")
    assert "3 passed" in ran.stdout, ran.stdout + ran.stderr
    schema = project.manage("spectacular", "--format", "openapi-json").stdout
    notes = json.loads(schema)["paths"]["/gateway/wine_bar/notes"]
    assert set(notes) == {"get", "post"}
    assert notes["get"]["tags"] == ["gateway: wine_bar"]


def test_a_new_module_is_as_tidy_as_the_project(project):
    project.manage("startgateway", "shop")
    project.write("ruff.toml", 'extend = "pyproject.toml"\n')
    for arguments in (["check"], ["format", "--check"]):
        ran = project.run("-m", "ruff", *arguments, "--no-cache", "gateway", "tests/gateway")
        assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Shop", "A module's name is"),
        ("../shop", "A module's name is"),
        ("class", "A module's name is"),
        ("", "A module's name is"),
        ("kit", "is there already"),
        ("module", "is there already"),
    ],
)
def test_a_name_that_cannot_be_is_refused(name, said, capsys):
    from django.core.management import CommandError, call_command

    with pytest.raises(CommandError, match=said):
        call_command("startgateway", name)


def test_a_dry_run_writes_nothing(capsys):
    from django.core.management import call_command

    from gateway.kit.modules import ROOT

    call_command("startgateway", "shop_of_nobody", "--dry-run")
    assert "gateway/shop_of_nobody/views.py" in capsys.readouterr().out
    assert not (ROOT / "shop_of_nobody").exists()
