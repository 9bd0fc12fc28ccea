"""`manage.py startgateway <name>`: a new module, with a test that passes and a page."""

from __future__ import annotations

from django.core.management.base import CommandParser

from core.commands import DomainCommand, Options
from gateway.kit import modules, scaffolding


class Command(DomainCommand):
    help = "Write a module of the gateway: a view, permission, service call, test and page."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="such as shop: it is served at /gateway/shop/")
        parser.add_argument("--json", action="store_true", help="write JSON")
        parser.add_argument("--dry-run", action="store_true", help="write nothing")

    def run(self, options: Options) -> None:
        project = modules.ROOT.parent
        name = options["name"]
        files = scaffolding.plan(name, project)
        if not options["dry_run"]:
            scaffolding.write(files)
        paths = [str(path.relative_to(project)) for path in files]
        self.say(
            options,
            {"module": name, "files": paths},
            *paths,
            "",
            f"Its test:  make test ARGS=tests/gateway/test_{name}.py",
            f"A key:     manage.py apikeys create {name} --scope 'gateway/{name}:*'",
            "Start the server again to serve it.",
        )
