"""`manage.py indexes ensure`: create the indexes that internal records need."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable

from core.commands import Options, ServiceCommand
from core.data.indexes import ensure_indexes


class Command(ServiceCommand):
    help = "Create the indexes that internal records need, where they are missing."

    def declare(self, add: Callable[..., ArgumentParser]) -> None:
        add("ensure", "create what is missing; the server does too")

    def _ensure(self, options: Options) -> None:
        names = ensure_indexes()
        self.say(options, names, *names)
