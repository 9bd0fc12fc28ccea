"""Small files of many types, made here; no content is a fake that only this project believes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import wave
import zipfile
import zlib

# The test virus that every scanner knows, in two halves: scanners of this repository need not.
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


def png(width=1, height=1, extra=b""):
    def chunk(kind, data):
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0\xff\0\0")
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", pixels)
        + chunk(b"IEND", b"")
        + extra
    )


def zipped(**members):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name.replace("__", "/"), content)
    return held.getvalue()


def office(part, **more):
    """What Word, Excel or PowerPoint write, in the least that tells which one."""
    members = {"[Content_Types].xml": "<Types/>", "_rels/.rels": "<R/>", part: "<x/>", **more}
    return zipped(**members)


def open_document(kind):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        file.writestr("mimetype", f"application/vnd.oasis.opendocument.{kind}")
        file.writestr("content.xml", "<office/>")
    return held.getvalue()


def tarred():
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as file:
        member = tarfile.TarInfo("a.txt")
        member.size = 5
        file.addfile(member, io.BytesIO(b"hello"))
    return held.getvalue()


def wav():
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(b"\x80" * 80)
    return held.getvalue()


def mp4(brand):
    return struct.pack(">I", 24) + b"ftyp" + brand + b"\0\0\2\0" + brand + b"isom" + b"\0" * 64


TEXT = b"Dear all,\nplease find the notes of our meeting below.\n"
# Name, content, and the type under which it is kept.
KEPT = [
    ("a.png", png(), "image/png"),
    ("a.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0" + b"\0" * 50, "image/jpeg"),
    (
        "a.gif",
        b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\1\0\1\0\0\2\2D\1\0;",
        "image/gif",
    ),
    (
        "a.webp",
        b"RIFF\x24\0\0\0WEBPVP8 \x18\0\0\0" + b"\x30\1\0\x9d\1\x2a" + b"\0" * 30,
        "image/webp",
    ),
    ("a.avif", mp4(b"avif"), "image/avif"),
    ("a.heic", mp4(b"heic"), "image/heic"),
    (
        "a.bmp",
        b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\2\0\0\0\2\0\0\0\1\0\x18\0" + b"\0" * 40,
        "image/bmp",
    ),
    ("a.tiff", b"II*\0\x08\0\0\0" + b"\0" * 60, "image/tiff"),
    ("a.mp3", b"ID3\3\0\0\0\0\0\0\xff\xfb\x90\x44" + b"\0" * 200, "audio/mpeg"),
    ("a.wav", wav(), "audio/wav"),
    ("a.flac", b"fLaC\0\0\0\x22\x10\0\x10\0" + b"\0" * 50, "audio/flac"),
    ("a.mid", b"MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\4\0\xff\x2f\0", "audio/midi"),
    ("a.mp4", mp4(b"mp42"), "video/mp4"),
    ("a.mov", mp4(b"qt  "), "video/quicktime"),
    ("a.avi", b"RIFF\x24\1\0\0AVI LIST" + b"\0" * 100, "video/x-msvideo"),
    ("a.pdf", b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n", "application/pdf"),
    ("a.rtf", rb"{\rtf1\ansi Hello\par}", "application/rtf"),
    (
        "a.docx",
        office("word/document.xml"),
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    (
        "a.xlsx",
        office("xl/workbook.xml"),
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    (
        "a.pptx",
        office("ppt/presentation.xml"),
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ),
    ("a.odt", open_document("text"), "application/vnd.oasis.opendocument.text"),
    ("a.ods", open_document("spreadsheet"), "application/vnd.oasis.opendocument.spreadsheet"),
    ("a.zip", zipped(a=TEXT), "application/zip"),
    ("a.tar.gz", gzip.compress(TEXT, mtime=0), "application/gzip"),
    ("a.bz2", bz2.compress(TEXT), "application/x-bzip2"),
    ("a.xz", lzma.compress(TEXT), "application/x-xz"),
    ("a.7z", b"7z\xbc\xaf\x27\x1c\0\4" + b"\0" * 40, "application/x-7z-compressed"),
    ("a.tar", tarred(), "application/x-tar"),
    ("a.woff2", b"wOF2\0\1\0\0" + b"\0" * 40, "font/woff2"),
    ("a.txt", TEXT, "text/plain"),
    ("umlaut.TXT", "Grüße aus München\n".encode(), "text/plain"),
    ("code.txt", b"#include <stdio.h>\nint main(void) { return 0; }\n", "text/plain"),
    ("a.csv", b"name,price\ntea,4.5\ncoffee,5\n", "text/csv"),
    ("a.json", b'{"a": [1, 2, {"b": null}]}', "application/json"),
    ("json.txt", b'{"a": [1, 2, {"b": null}]}', "text/plain"),
    ("a.md", b"# Title\n\nSome *text*.\n", "text/markdown"),
    ("a.ics", b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n", "text/calendar"),
    ("a.bin", bytes(range(1, 255)) * 9, "application/octet-stream"),
    ("none", bytes(range(1, 255)) * 9, "application/octet-stream"),
    ("README", TEXT, "text/plain"),
    ("data", b'{"a": 1}', "application/json"),
    ("picture", png(), "image/png"),
    ("short.txt", b"x", "text/plain"),
    ("short", b"\0", "application/octet-stream"),
    ("empty.txt", b"", "text/plain"),
    ("empty", b"", "application/octet-stream"),
]
# Name and content of what is not on the list, whatever it is called.
NOT_ALLOWED = [
    ("a.exe", b"MZ\x90\0" + b"\0" * 200),
    ("a.png", b"MZ\x90\0" + b"\0" * 200),
    ("a.bin", b"\x7fELF\2\1\1" + b"\0" * 200),
    ("elf", b"\x7fELF\2\1\1" + b"\0" * 200),
    ("a.class", b"\xca\xfe\xba\xbe\0\0\0\x34" + b"\0" * 50),
    ("a.bin", b"\0asm\1\0\0\0"),
    ("a.lnk", b"\x4c\0\0\0\1\x14\2\0\0\0\0\0\xc0\0\0\0\0\0\0\x46" + b"\0" * 60),
    ("a.sh", b"#!/bin/sh\necho hi\n"),
    ("a.txt", b"\xef\xbb\xbf #!/usr/bin/env node\n1\n"),
    ("a.py", b"#!/usr/bin/env python3\nprint(1)\n"),
    ("a.txt", b"<?php system($_GET['c']); ?>\n"),
    ("a.html", b"<!DOCTYPE html><html><body>x</body></html>"),
    ("a.txt", b"  <script>alert(1)</script>"),
    ("page", b"<HTML><body onload=alert(1)>"),
    ("a.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'),
    ("a.png", b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"></svg>'),
    ("a.xml", b'<?xml version="1.0"?><a/>'),
    ("a.eps", b"%!PS-Adobe-3.0\n%%EOF\n"),
    ("a.docx", office("word/document.xml", **{"word/vbaProject.bin": "x"})),
    ("a.zip", zipped(**{"AndroidManifest.xml": "x", "classes.dex": "dex\n035"})),
]
# Content that is allowed, under a name that says something else.
MISMATCHED = [
    ("a.jpg", png()),
    ("a.txt", png()),
    ("a.png", TEXT),
    ("a.png", b""),
    ("a.txt", b"\1"),
    ("a.exe", png()),
    ("a.html", TEXT),
    ("a.js", b"let a = 1\n"),
    ("a.svg", TEXT),
    ("a.docx", zipped(a=TEXT)),
    ("a.jar", zipped(a=TEXT)),
    ("a.json", bytes(range(1, 255)) * 9),
    ("a.unheard-of", TEXT),
    ("a.pdf", b"%PDX" + bytes(range(1, 255)) * 9),
    ("a.png.exe", png()),
    ("a.png.svg", png()),
]
