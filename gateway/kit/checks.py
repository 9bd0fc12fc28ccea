"""System checks: what is wrong with a module, by its name; said at start and by the doctor."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.core.checks import CheckMessage, Warning, register  # noqa: A004

from gateway.kit import modules, mounting


@register
def check_modules(**_: Any) -> list[CheckMessage]:
    """Modules that could not be loaded, and routes that nobody may call."""
    import_module("gateway.kit.urls")
    broken: list[CheckMessage] = [
        Warning(
            f"The module {name} is not served. {fault}.",
            hint=f"Mend gateway/{name} and start again; the other modules are served.",
            id="gateway.W001",
        )
        for name, fault in sorted(modules.faults.items())
    ]
    closed: list[CheckMessage] = [
        Warning(
            f"Nobody may call {route}: its view does not say who.",
            hint="Decorate it with protected, authenticated or public of core.http.permissions.",
            id="gateway.W002",
        )
        for route in mounting.unguarded
    ]
    return broken + closed
