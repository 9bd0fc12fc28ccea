"""What a file is, and whether it may be kept under its name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from archive import filetypes
from core.errors import TypeMismatch, TypeNotAllowed
from tests.archive.samples import KEPT, MISMATCHED, NOT_ALLOWED, TEXT, office, png, zipped
from tests.processes import ROOT


def _name(value):
    """A sample's bytes may hold the time, and differ between processes."""
    return "content" if isinstance(value, bytes) else str(value)[:40]


@pytest.fixture
def told(tmp_path):
    def tell(name, content, allowed=filetypes.DEFAULT_TYPES):
        path = tmp_path / "content"
        path.write_bytes(content)
        return filetypes.content_type(filetypes.sniff(path), name, allowed)

    return tell


@pytest.mark.parametrize(("name", "content", "kind"), KEPT, ids=_name)
def test_files_are_kept_under_their_type(told, name, content, kind):
    assert told(name, content) == kind


@pytest.mark.parametrize(("name", "content"), NOT_ALLOWED, ids=_name)
def test_what_runs_is_not_allowed_under_any_name(told, name, content):
    with pytest.raises(TypeNotAllowed):
        told(name, content)


@pytest.mark.parametrize(("name", "content"), MISMATCHED, ids=_name)
def test_a_name_that_says_another_type_is_refused(told, name, content):
    with pytest.raises(TypeMismatch):
        told(name, content)


# The loader finds no libmagic unless it is told the whole path.
WITHOUT_LIBMAGIC = """
import ctypes, sys
from pathlib import Path

load = ctypes.CDLL.__init__

def absent(self, name, *args, **kwargs):
    if name and "magic" in str(name) and "pylibmagic" not in str(name):
        raise OSError("not installed")
    load(self, name, *args, **kwargs)

ctypes.CDLL.__init__ = absent
from archive.filetypes import sniff

for path in sorted(Path(sys.argv[1]).iterdir()):
    print(sniff(path))
assert "pylibmagic" in sys.modules
"""


def test_the_wheels_library_tells_them_too(tmp_path):
    """Where the system has no libmagic, the one of the wheel must do."""
    for number, (_, content, _) in enumerate(KEPT):
        (tmp_path / f"{number:03}").write_bytes(content)
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_LIBMAGIC, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    sniffed = ran.stdout.splitlines()
    kinds = [
        filetypes.content_type(found, name, filetypes.DEFAULT_TYPES)
        for found, (name, _, _) in zip(sniffed, KEPT, strict=True)
    ]
    assert kinds == [kind for _, _, kind in KEPT]


def test_the_operators_list_is_all_that_counts(told):
    assert told("a.png", png(), ["image/png"]) == "image/png"
    with pytest.raises(TypeNotAllowed):
        told("a.txt", TEXT, ["image/png"])
    with pytest.raises(TypeNotAllowed):
        told("a.bin", bytes(range(1, 255)) * 9, ["image/png"])


def test_patterns_bring_in_no_type_that_runs(told):
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"></svg>'
    assert told("a.png", png(), ["image/*"]) == "image/png"
    for allowed in (["image/*"], ["*"], ["*/*"]):
        with pytest.raises(TypeNotAllowed):
            told("a.svg", svg, allowed)
    assert told("a.svg", svg, ["image/*", "image/svg+xml"]) == "image/svg+xml"


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.html", b"<!DOCTYPE html><html></html>", "text/html"),
        ("a.html", TEXT, "text/html"),
        ("a.xml", b'<?xml version="1.0"?><a/>', "application/xml"),
        ("a.py", b"#!/usr/bin/env python3\nprint(1)\n", "text/x-python"),
        ("a.sh", b"#!/bin/sh\necho hi\n", "text/x-shellscript"),
    ],
)
def test_a_type_that_runs_can_be_named(told, name, content, kind):
    assert told(name, content, [kind]) == kind


def test_a_type_that_we_do_not_know_can_be_named(told):
    sqlite = b"SQLite format 3\0" + b"\x10\0\1\1\0\x40\x20\x20" + b"\0" * 200
    named = "application/vnd.sqlite3"
    with pytest.raises(TypeNotAllowed):
        told("a.sqlite", sqlite)
    assert told("a", sqlite, [named, "application/x-sqlite3"]) in {named, "application/x-sqlite3"}


def test_what_a_damaged_or_huge_zip_holds_is_not_looked_at(told):
    whole = office("word/document.xml")
    assert told("a.zip", zipped(a=TEXT)[:-10]) == "application/zip"
    many = zipped(**{f"{'x' * 60}{number}": b"" for number in range(60_000)})
    assert told("a.zip", many) == "application/zip"
    with pytest.raises(TypeMismatch):
        told("a.zip", whole)


def test_bombs_and_polyglots_are_files_like_others(told):
    assert told("a.png", png(100_000, 100_000)) == "image/png"
    assert told("a.png", png(extra=zipped(a=b"\0" * 10_000_000))) == "image/png"
    assert told("a.png", png(extra=b"<script>alert(1)</script>")) == "image/png"
    with pytest.raises(TypeMismatch):
        told("a.zip", png(extra=zipped(a=TEXT)))
