"""Finding the operator's modules, and keeping a broken one from taking the others down.

Settings install what ``installed`` finds, ``gateway.kit.urls`` mounts it. Whatever a module raises
while it is loaded is a fault of that module: it is kept in ``faults``, said at start by the system
checks, and the module's routes answer 503.
"""

from __future__ import annotations

import pkgutil
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from inspect import getmembers, isclass
from pathlib import Path
from types import ModuleType
from typing import Any

from django.apps import AppConfig, apps

ROOT = Path(__file__).resolve().parent.parent
KIT = "kit"
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}").fullmatch
# What Django imports of an app by itself, and would not start without.
_IMPORTED_BY_DJANGO = ("admin", "migrations", "templatetags")

# Why a module is not mounted, or not whole; by its name.
faults: dict[str, str] = {}


class ModuleConfig(AppConfig):
    """What a module's ``apps.py`` subclasses, with ``name = "gateway.<folder>"``."""

    default = False

    def __init__(self, app_name: str, app_module: ModuleType | None) -> None:
        # Labels are unique over all apps: a module may be called as a service is.
        self.label = app_name.replace(".", "_")
        super().__init__(app_name, app_module)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        ready = cls.ready

        @wraps(ready)
        def guarded(self: AppConfig) -> None:
            with fault_of(folder_of(self.name)):
                ready(self)

        cls.ready = guarded  # type: ignore[method-assign]

    def import_models(self) -> None:
        """Django's; a fault is the module's own."""
        with fault_of(folder_of(self.name)):
            super().import_models()


@contextmanager
def fault_of(name: str) -> Iterator[None]:
    """Keep what is raised in the block as the fault of a module."""
    try:
        yield
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever an operator's code raises
        faults.setdefault(name, _told(error))


def _told(error: BaseException) -> str:
    """The error in a line, with the place nearest to it in the gateway."""
    said = f"{type(error).__name__}: {error}".splitlines()[0]
    places = [
        f"{Path(frame.filename).relative_to(ROOT.parent)}, line {frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(ROOT) and not frame.filename.endswith("modules.py")
    ]
    return f"{said} ({places[-1]})" if places else said


def folder_of(app_name: str) -> str:
    """A module's own name."""
    return app_name.partition(".")[2]


def installed() -> list[str]:
    """The modules' entries for INSTALLED_APPS; called once, by settings."""
    entries = []
    for folder in sorted(ROOT.iterdir()):
        if folder.name != KIT and (folder / "apps.py").is_file():
            with fault_of(folder.name):
                entries.append(_entry(folder.name))
    return entries


def _entry(name: str) -> str:
    if not NAME(name):
        raise ValueError("a module's name is 1 to 40 of a-z, 0-9 and _, a letter first")
    loaded = import_module(f"gateway.{name}.apps")
    configs = [
        each
        for _, each in getmembers(loaded, isclass)
        if issubclass(each, ModuleConfig) and each.__module__ == loaded.__name__
    ]
    if len(configs) != 1:
        raise ValueError("apps.py must have one subclass of gateway.kit.modules.ModuleConfig")
    if configs[0].name != f"gateway.{name}":
        raise ValueError(
            f"its name is {configs[0].name!r}, which is another's: write 'gateway.{name}'"
        )
    return f"{loaded.__name__}.{configs[0].__name__}"


def configs() -> list[AppConfig]:
    """The modules that Django has."""
    return [config for config in apps.get_app_configs() if isinstance(config, ModuleConfig)]


def examine() -> None:
    """Import what Django would import of each module, and put something empty where that fails."""
    for config in configs():
        for part in _IMPORTED_BY_DJANGO:
            works = False
            with fault_of(folder_of(config.name)):
                _import_all(f"{config.name}.{part}", Path(config.path))
                works = True
            if not works:
                _hide(f"{config.name}.{part}")


def _import_all(name: str, folder: Path) -> None:
    part = name.rpartition(".")[2]
    if not (folder / part).is_dir() and not (folder / f"{part}.py").is_file():
        return
    loaded = import_module(name)
    for each in pkgutil.iter_modules(getattr(loaded, "__path__", ())):
        import_module(f"{name}.{each.name}")


def _hide(name: str) -> None:
    """Let an import of this find an empty module."""
    for loaded in [each for each in sys.modules if each.startswith(f"{name}.")]:
        del sys.modules[loaded]
    sys.modules[name] = ModuleType(name)
