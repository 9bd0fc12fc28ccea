"""What a file is, told from its content, and whether it may be kept under its name.

Called by ``archive.services``. libmagic says the type: the system's, or else the one that the
wheel pylibmagic brings (docs/archive.md says what was measured). What libmagic does not know well
enough is looked at here: the first bytes of executables, and what a ZIP holds.
"""

from __future__ import annotations

import mimetypes
import os
import re
import struct
import threading
import zipfile
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from archive.names import extension
from core.errors import TypeMismatch, TypeNotAllowed

UNKNOWN = "application/octet-stream"
_OFFICE = "application/vnd.openxmlformats-officedocument."
_OPEN = "application/vnd.oasis.opendocument."

# Extensions, and the types that a file so called may have. These types are allowed by default.
_TYPES: dict[str, tuple[str, ...]] = {
    "png": ("image/png",),
    **dict.fromkeys(("jpg", "jpeg", "jpe"), ("image/jpeg",)),
    "gif": ("image/gif",),
    "webp": ("image/webp",),
    "avif": ("image/avif",),
    **dict.fromkeys(("heic", "heif"), ("image/heic", "image/heif")),
    "bmp": ("image/bmp",),
    **dict.fromkeys(("tif", "tiff"), ("image/tiff",)),
    "ico": ("image/x-icon",),
    **dict.fromkeys(("mp3", "mpga"), ("audio/mpeg",)),
    "wav": ("audio/wav",),
    "flac": ("audio/flac",),
    "aac": ("audio/aac",),
    **dict.fromkeys(("m4a", "m4b"), ("audio/mp4", "video/mp4")),
    **dict.fromkeys(("oga", "opus"), ("audio/ogg",)),
    "ogg": ("audio/ogg", "video/ogg"),
    **dict.fromkeys(("aif", "aiff"), ("audio/aiff",)),
    **dict.fromkeys(("mid", "midi"), ("audio/midi",)),
    **dict.fromkeys(("mp4", "m4v"), ("video/mp4",)),
    "mov": ("video/quicktime", "video/mp4"),
    "webm": ("video/webm",),
    "mkv": ("video/x-matroska",),
    "avi": ("video/x-msvideo",),
    "ogv": ("video/ogg",),
    **dict.fromkeys(("mpg", "mpeg"), ("video/mpeg",)),
    "3gp": ("video/3gpp", "video/mp4"),
    "pdf": ("application/pdf",),
    "rtf": ("application/rtf",),
    "epub": ("application/epub+zip",),
    "docx": (f"{_OFFICE}wordprocessingml.document",),
    "xlsx": (f"{_OFFICE}spreadsheetml.sheet",),
    "pptx": (f"{_OFFICE}presentationml.presentation",),
    "odt": (f"{_OPEN}text",),
    "ods": (f"{_OPEN}spreadsheet",),
    "odp": (f"{_OPEN}presentation",),
    "zip": ("application/zip",),
    **dict.fromkeys(("gz", "tgz"), ("application/gzip",)),
    "bz2": ("application/x-bzip2",),
    "xz": ("application/x-xz",),
    "zst": ("application/zstd",),
    "7z": ("application/x-7z-compressed",),
    "tar": ("application/x-tar",),
    "woff": ("font/woff",),
    "woff2": ("font/woff2",),
    **dict.fromkeys(("ttf", "otf"), ("font/sfnt",)),
    **dict.fromkeys(("bin", "dat"), (UNKNOWN,)),
}
# Kinds of text that only the extension tells apart.
_TEXTS: dict[str, str] = {
    **dict.fromkeys(("txt", "text", "log", "ini", "conf"), "text/plain"),
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    **dict.fromkeys(("json", "geojson"), "application/json"),
    "ndjson": "application/x-ndjson",
    **dict.fromkeys(("md", "markdown"), "text/markdown"),
    **dict.fromkeys(("yaml", "yml"), "application/yaml"),
    "toml": "application/toml",
    "ics": "text/calendar",
    "vcf": "text/vcard",
    "vtt": "text/vtt",
    "srt": "application/x-subrip",
}
DEFAULT_TYPES: tuple[str, ...] = tuple(
    sorted({kind for kinds in _TYPES.values() for kind in kinds} | set(_TEXTS.values()))
)
# One name for what several libraries, and versions of them, call differently.
_ALIASES = {
    "image/x-ms-bmp": "image/bmp",
    "image/vnd.microsoft.icon": "image/x-icon",
    "audio/x-wav": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/x-hx-aac-adts": "audio/aac",
    "audio/x-m4a": "audio/mp4",
    "audio/x-aiff": "audio/aiff",
    "audio/x-midi": "audio/midi",
    "video/x-m4v": "video/mp4",
    "application/ogg": "audio/ogg",
    "application/x-gzip": "application/gzip",
    "application/x-zstd": "application/zstd",
    "application/x-zip-compressed": "application/zip",
    "application/font-woff": "font/woff",
    "application/font-sfnt": "font/sfnt",
    "font/ttf": "font/sfnt",
    "font/otf": "font/sfnt",
    "application/vnd.ms-opentype": "font/sfnt",
    "text/rtf": "application/rtf",
    "application/vnd.microsoft.portable-executable": "application/x-dosexec",
    "application/x-ndjson": "application/json",
    "text/xml": "application/xml",
    "text/x-script.python": "text/x-python",
    "application/javascript": "text/javascript",
    "inode/x-empty": "application/x-empty",
    "application/x-sh": "text/x-shellscript",
}
# Text that something runs or renders; any other text is as harmless as the plain kind.
_ACTIVE = re.compile(
    r".*(html|xml|svg|script|shell|batch|php|perl|python|ruby|tcl|lua|awk|vbs|msdos).*"
).fullmatch
# What runs, beside text: never taken for bytes of an unknown kind.
_RUNS = re.compile(
    r"application/.*(executable|dosexec|sharedlib|object|coredump|java|bytecode|shortcut|msi"
    r"|msdownload|package|dex|wasm|mach|flash|postscript|installer|hta|macroenabled|ole|msword"
    r"|ms-excel|ms-powerpoint|ms-office|cdf|iso9660).*|.*(\+xml|/xml|html|svg).*"
).fullmatch
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"MZ", "application/x-dosexec"),
    (b"\x7fELF", "application/x-executable"),
    (b"\xca\xfe\xba\xbe", "application/x-java-applet"),
    (b"\xce\xfa\xed\xfe", "application/x-mach-binary"),
    (b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (b"\xfe\xed\xfa\xce", "application/x-mach-binary"),
    (b"\xfe\xed\xfa\xcf", "application/x-mach-binary"),
    (b"dex\n", "application/x-dex"),
    (b"\x00asm", "application/wasm"),
    (b"\x4c\x00\x00\x00\x01\x14\x02\x00", "application/x-ms-shortcut"),
    (b"%!PS", "application/postscript"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
)
_markup = re.compile(
    rb"<(!doctype\s|html|head|body|script|iframe|svg|\?xml|\?php|\?=)", re.IGNORECASE
).match
_MARKUP = {b"?xml": "application/xml", b"svg": "image/svg+xml", b"?php": "text/x-php"}
_PARTS = (
    ("vbaproject.bin", "application/vnd.ms-office.macroenabled"),
    ("word/document.xml", f"{_OFFICE}wordprocessingml.document"),
    ("xl/workbook.xml", f"{_OFFICE}spreadsheetml.sheet"),
    ("ppt/presentation.xml", f"{_OFFICE}presentationml.presentation"),
    ("androidmanifest.xml", "application/vnd.android.package-archive"),
)
_HEAD = 4096
_MAX_DIRECTORY = 4 * 1024 * 1024
_guesses = mimetypes.MimeTypes()


def sniff(path: Path) -> str:
    """The type of a file's content, under one name; ``application/octet-stream`` if unknown."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        return "application/x-empty"
    for start, kind in _SIGNATURES:
        if head.startswith(start):
            return kind
    kind = _said_by_libmagic(path)
    if kind == UNKNOWN and len(head) < _HEAD and _is_text(head):
        # libmagic does not look at files of a byte or two.
        kind = "text/plain"
    if kind == UNKNOWN or _is_plain(kind):
        kind = _active_text(head) or kind
    return _zip_kind(path, kind) if head.startswith(b"PK\x03\x04") else kind


def content_type(sniffed: str, name: str, allowed: Sequence[str]) -> str:
    """The type under which a file is kept and served.

    ``allowed`` are types, or patterns such as ``image/*``. Raises TypeNotAllowed when the content
    is of a type that is not among them, TypeMismatch when the name says another type.
    """
    last = extension(name)
    if sniffed == "application/x-empty":
        sniffed = "text/plain" if last in _TEXTS else UNKNOWN
    if _is_plain(sniffed):
        return _text_type(sniffed, last, name, allowed)
    is_known = _on(allowed, sniffed) or sniffed in DEFAULT_TYPES or _is_active(sniffed)
    if not is_known and UNKNOWN in _kinds(last or "bin"):
        # A weak guess at bytes whose name claims nothing about them.
        sniffed = UNKNOWN
    if not _on(allowed, sniffed):
        raise TypeNotAllowed(f"Files of the type {sniffed} are not allowed here.")
    if last and sniffed not in _kinds(last):
        raise _mismatch(sniffed, name)
    return sniffed


def _text_type(sniffed: str, last: str, name: str, allowed: Sequence[str]) -> str:
    """The kind of text that the name says, or that an operator has allowed under such names."""
    kind = _TEXTS.get(last)
    if not last:
        kind = sniffed if sniffed == "application/json" else "text/plain"
    elif kind is None:
        kind = next((each for each in _kinds(last) if _runs_as_text(each, allowed)), None)
    if kind is None:
        raise _mismatch("text/plain", name)
    if not _on(allowed, kind):
        raise TypeNotAllowed(f"Files of the type {kind} are not allowed here.")
    return kind


def _runs_as_text(kind: str, allowed: Sequence[str]) -> bool:
    return (kind.startswith("text/") or bool(_ACTIVE(kind))) and _on(allowed, kind)


def _mismatch(sniffed: str, name: str) -> TypeMismatch:
    return TypeMismatch(f"The content is {sniffed}, which the name {name!r} does not say.")


def _is_plain(sniffed: str) -> bool:
    """Whether this is text of a kind that only its name tells."""
    return sniffed in _TEXTS.values() or (sniffed.startswith("text/") and not _ACTIVE(sniffed))


def _is_active(kind: str) -> bool:
    """Whether something runs or renders it: such a type is allowed by its own name only."""
    return bool(_RUNS(kind) or (kind.startswith("text/") and _ACTIVE(kind)))


def _on(allowed: Sequence[str], kind: str) -> bool:
    return kind in allowed or (
        not _is_active(kind) and any(fnmatchcase(kind, pattern) for pattern in allowed)
    )


def _kinds(last: str) -> tuple[str, ...]:
    """The types that an extension says: ours, else Python's own table."""
    if last in _TYPES:
        return _TYPES[last]
    guessed, _ = _guesses.guess_type(f"a.{last}")
    return () if guessed is None else (_ALIASES.get(guessed, guessed),)


def _is_text(content: bytes) -> bool:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return False
    return all(each.isprintable() or each in "\t\r\n\f" for each in text)


def _active_text(head: bytes) -> str | None:
    """The type of a script or of markup that libmagic took for plain text."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"#!"):
        return "text/x-shellscript"
    if found := _markup(text):
        return _MARKUP.get(found.group(1).lower(), "text/html")
    return None


def _zip_kind(path: Path, kind: str) -> str:
    """The type of a ZIP by what it holds, where libmagic is not sure; never unpacks anything."""
    names = _zip_names(path)
    for part, found in _PARTS:
        if any(name.endswith(part) for name in names):
            return found
    return "application/zip" if kind == UNKNOWN else kind


def _zip_names(path: Path) -> list[str]:
    """The names in a ZIP's directory, unless that is damaged or too large to be looked at."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 65_557))
        end = file.read()
        at = end.rfind(b"PK\x05\x06")
        if at < 0 or len(end) - at < 22:
            return []
        (directory,) = struct.unpack("<I", end[at + 12 : at + 16])
        if directory > _MAX_DIRECTORY:
            return []
        try:
            with zipfile.ZipFile(file) as opened:
                return [name.lower() for name in opened.namelist()]
        except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, OSError):
            return []


# A look takes up to 20 MB.
_one_at_a_time = threading.Lock()


def _said_by_libmagic(path: Path) -> str:
    magic = _magic()
    with _one_at_a_time:
        try:
            # Tables of 6 MB leave with the handle; they are there again in half a millisecond.
            said = str(magic.Magic(mime=True).from_file(str(path)))
        except magic.MagicException:
            return UNKNOWN
    kind = _ALIASES.get(said, said)
    # Without the signature it is a guess from one byte: one random file in a hundred.
    return UNKNOWN if kind == "application/x-dosexec" or "/" not in kind else kind


@cache
def _magic() -> Any:
    """python-magic; imported when a file is looked at, with the libmagic that it finds."""
    try:
        return import_module("magic")
    except ImportError:
        # As it is imported, it lets python-magic find the library that it brings.
        import_module("pylibmagic")
        return import_module("magic")
