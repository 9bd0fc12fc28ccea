"""What a file may be called: a base name that is safe to show, to send in a header and to save.

Called by ``archive.services``. The name is only said in the record; no path is ever made of it.
"""

from __future__ import annotations

import re
import unicodedata

UNNAMED = "file"
MAX_BYTES = 255
# Devices of Windows, whatever their extension.
_devices = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE).match
# What Windows allows in no name; in one with a colon it would see a stream of another file.
_forbidden = re.compile(r'[<>:"|?*]')


def safe_name(given: str) -> str:
    """The base name without what could mislead people, shells, headers or file systems.

    Directories, control and formatting characters (such as right-to-left overrides) are dropped,
    as are dots and spaces around it; up to 255 bytes of UTF-8 stay, with the extension.
    """
    base = re.split(r"[/\\]", given)[-1]
    # Cc, Cf, Cs, Co, Cn: what has no look of its own, or changes that of the rest.
    shown = "".join(each for each in base if unicodedata.category(each)[0] != "C")
    name = re.sub(r"\s+", " ", unicodedata.normalize("NFC", shown))
    name = _forbidden.sub("_", name).strip(". ")
    if _devices(name):
        name = f"_{name}"
    return _shortened(name) or UNNAMED


def extension(name: str) -> str:
    """What follows the last dot, in lower case and without the dot; empty where none does."""
    stem, dot, last = name.rpartition(".")
    return last.lower() if stem and dot else ""


def _shortened(name: str) -> str:
    if len(name.encode()) <= MAX_BYTES:
        return name
    last = extension(name)
    ending = f".{last}" if last and len(last.encode()) <= 32 else ""
    stem = name[: -len(ending)] if ending else name
    room = MAX_BYTES - len(ending.encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(". ") + ending
