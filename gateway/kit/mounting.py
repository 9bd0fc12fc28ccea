"""The routes of modules: each below its own name, none of them open unless it says so."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from importlib import import_module
from inspect import isclass
from typing import Any, NoReturn

import structlog
from django.apps import AppConfig
from django.http import HttpRequest
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from rest_framework.views import APIView

from core.errors import Forbidden, ModuleUnavailable
from core.http.permissions import is_guarded
from gateway.kit import modules
from gateway.kit.modules import folder_of

Route = URLPattern | URLResolver
log = structlog.get_logger("coglex.gateway")

# Routes of plain views that do not say who may call them.
unguarded: list[str] = []


def mounted() -> list[Route]:
    """All modules' routes; those of a module that could not be loaded answer 503."""
    found: list[Route] = []
    for config in modules.configs():
        name = folder_of(config.name)
        if name not in modules.faults:
            with modules.fault_of(name):
                found.append(path(f"{name}/", include((_routes_of(config), name))))
    for name, fault in modules.faults.items():
        log.error("module_broken", module=name, fault=fault)
        found.append(re_path(rf"^(?P<module>{re.escape(name)})/", unavailable))
    return found


@csrf_exempt
def unavailable(request: HttpRequest, module: str) -> NoReturn:
    """Stands for all routes of a module that could not be loaded."""
    raise ModuleUnavailable(f"The module {module} could not be loaded; its operator can see why.")


def _routes_of(config: AppConfig) -> list[Route]:
    """A module's own routes, none of which is open unless it says so."""
    patterns: list[Route] = import_module(f"{config.name}.urls").urlpatterns
    _close(patterns, f"/gateway/{folder_of(config.name)}/")
    return patterns


def _close(patterns: Iterable[Route], prefix: str) -> None:
    for pattern in patterns:
        route = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            _close(pattern.url_patterns, route)
        elif not _says_who(pattern.callback):
            unguarded.append(route)
            pattern.callback = _refuse


def _says_who(view: Callable[..., Any]) -> bool:
    """REST framework's views refuse by default; a plain one must carry one of our decorators."""
    kind = getattr(view, "cls", None)
    return is_guarded(view) or (isclass(kind) and issubclass(kind, APIView))


def _refuse(*_: object, **__: object) -> Any:
    raise Forbidden("This route does not say who may call it.")
