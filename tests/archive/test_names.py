"""What a file may be called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.names import MAX_BYTES, extension, safe_name


@pytest.mark.parametrize(
    ("given_name", "safe"),
    [
        ("hello.txt", "hello.txt"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\system.ini", "system.ini"),
        ("C:\\fakepath\\a.png", "a.png"),
        ("/abs/a.png", "a.png"),
        ("a/", "file"),
        ("..", "file"),
        (".", "file"),
        ("", "file"),
        ("   ", "file"),
        (".htaccess", "htaccess"),
        ("a.png.", "a.png"),
        ("a.png . .", "a.png"),
        ("a\0.png", "a.png"),
        ("a\r\nSet-Cookie: x=1.png", "aSet-Cookie_ x=1.png"),
        ("gpj.\u202eexe.png", "gpj.exe.png"),
        ("zero\u200bwidth.png", "zerowidth.png"),
        ("a\ud800.png", "a.png"),
        ('a"b<c>|*?.png', "a_b_c____.png"),
        ("a.txt::$DATA", "a.txt__$DATA"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("console.txt", "console.txt"),
        ("Gr\u0075\u0308\u00dfe.txt", "Grüße.txt"),
        ("東京.png", "東京.png"),
        ("two   spaces\t.txt", "two spaces.txt"),
        ("a" * 10_000 + ".png", "a" * 251 + ".png"),
        ("ü" * 10_000 + ".png", "ü" * 125 + ".png"),
        ("a." + "b" * 10_000, "a." + "b" * 253),
    ],
)
def test_names_are_reduced_to_a_safe_base_name(given_name, safe):
    assert safe_name(given_name) == safe


@given(st.text(max_size=400))
def test_any_text_becomes_a_name_that_stays_as_it_is(text):
    name = safe_name(text)
    assert 0 < len(name.encode()) <= MAX_BYTES
    assert not set(name) & set('/\\<>:"|?*\0\r\n')
    assert name == name.strip(". ")
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("name", "last"),
    [("a.PNG", "png"), ("a.tar.gz", "gz"), ("a", ""), (".env", ""), ("a.", ""), ("a.b.c", "c")],
)
def test_the_extension_is_what_follows_the_last_dot(name, last):
    assert extension(name) == last
