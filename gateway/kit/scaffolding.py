"""Writing a new module from the templates in ``gateway/scaffold``; called by `startgateway`."""

from __future__ import annotations

import keyword
from collections.abc import Iterator
from pathlib import Path
from string import Template

from core.errors import Conflict, InvalidInput
from gateway.kit.modules import NAME

_TEMPLATES = Path(__file__).parent / "scaffold"
_ELSEWHERE = {"test.py": "tests/gateway/test_{}.py", "page.md": "docs/gateway/{}.md"}


def plan(name: str, project: Path) -> dict[Path, str]:
    """The files of a new module and what is to be in them; raises InvalidInput, Conflict."""
    if not NAME(name) or keyword.iskeyword(name):
        raise InvalidInput("A module's name is 1 to 40 of a-z, 0-9 and _, a letter first.")
    files = dict(_files(name, project))
    for path in [project / "gateway" / name, *files]:
        if path.exists():
            raise Conflict(f"{path.relative_to(project)} is there already.")
    return files


def _files(name: str, project: Path) -> Iterator[tuple[Path, str]]:
    words = name.replace("_", " ").split() or [name]
    spelled = {
        "name": name,
        "Name": "".join(word.capitalize() for word in words),
        "title": " ".join(words).capitalize(),
    }
    for template in sorted(_TEMPLATES.glob("*.tpl")):
        file = template.name.removesuffix(".tpl")
        place = _ELSEWHERE.get(file, f"gateway/{{}}/{file}").format(name)
        yield project / place, Template(template.read_text(encoding="utf-8")).substitute(spelled)


def write(files: dict[Path, str]) -> None:
    """Write what ``plan`` made."""
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
