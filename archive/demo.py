"""The demonstration's files: pictures of the products, a price list, a leaflet; all made here."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from contextlib import suppress

from archive import accesses, links, operations, services
from archive.drafts import new_draft
from core.demo import Holding, Part, Seen
from core.demo.shop import CATEGORIES, PRODUCTS, Product
from core.errors import StoredFileNotFound

_WIDTH, _HEIGHT = 240, 160
_PICTURED = PRODUCTS[::4]


def picture(product: Product) -> bytes:
    """A PNG: a cup of it, from above.

    Source: https://www.w3.org/TR/png-3/
    """
    rows = bytearray()
    for y in range(_HEIGHT):
        rows.append(0)  # This row is not filtered.
        for x in range(_WIDTH):
            rows += bytes(_pixel(product.colour, x - _WIDTH // 2, y - _HEIGHT // 2))
    header = struct.pack(">IIBBBBB", _WIDTH, _HEIGHT, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _pixel(colour: tuple[int, int, int], x: int, y: int) -> tuple[int, ...]:
    """What is seen so far from the middle: the tea, the cup's rim, the saucer, the table."""
    away = x * x + y * y
    if away < 44**2:
        shine = max(0, 40 - ((x + 16) ** 2 + (y + 16) ** 2) // 12)
        return tuple(min(255, each + shine) for each in colour)
    if away < 52**2:
        return (250, 248, 242)
    if away < 70**2:
        return (232, 226, 214)
    return tuple(235 - (255 - each) // 6 for each in colour)


def price_list() -> bytes:
    """The products as CSV."""
    lines = ["key,name,category,price_cents,origin"]
    lines += [f"{p.key},{p.name},{p.category},{p.price_cents},{p.origin}" for p in PRODUCTS]
    return "".join(f"{line}\r\n" for line in lines).encode()


def leaflet() -> bytes:
    """A PDF of one page: what the shop has.

    Source: ISO 32000-2, the smallest of files.
    """
    lines = " ".join(f"0 -28 Td ({name}) Tj" for name in CATEGORIES.values())
    stream = f"BT /F1 24 Tf 60 760 Td (The tea shop) Tj /F1 12 Tf {lines} ET".encode()
    font = b"/Resources << /Font << /F1 5 0 R >> >>"
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R %s >>" % font,
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    made, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    count = len(objects) + 1
    return made + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\n"
        b"startxref\n%d\n%%%%EOF\n" % (count, table, count, len(made))
    )


def _made_by(product: Product) -> Callable[[], bytes]:
    return lambda: picture(product)


# Of each file, what makes its bytes, its metadata, and how often it was downloaded.
_FILES: dict[str, tuple[Callable[[], bytes], dict[str, object], int]] = {
    **{
        f"{product.key}.png": (
            _made_by(product),
            {"product": product.key, "album": product.category, "alt": f"A cup: {product.name}"},
            at,
        )
        for at, product in enumerate(_PICTURED)
    },
    "prices-2026.csv": (price_list, {"kind": "price list", "year": 2026}, 12),
    "leaflet.pdf": (leaflet, {"kind": "leaflet", "languages": ["en"]}, 3),
}


class Files(Part):
    """Files, told by their ids; a name says nothing, as several files may have one."""

    name = "archive"

    def survey(self) -> list[Holding]:
        return [Holding("files", len(_FILES), len(self._there()))]

    def _there(self) -> dict[str, str]:
        """The ids of the shop's files that are there."""
        claims = self.claims()
        ids = [file_id for file_id in claims.values() if file_id]
        found = {each["_id"] for each in operations.find_files(query={"_id": {"$in": ids}})}
        return {name: file_id for name, file_id in claims.items() if file_id in found and file_id}

    def load(self, *, by: str, seen: Seen) -> None:
        there = self._there()
        for name, (make, metadata, downloads) in _FILES.items():
            if name not in there:
                self._keep(name, make(), metadata, by)
                self._let_download(name, downloads, by)
                seen()
        accesses.flush()

    def _keep(self, name: str, content: bytes, metadata: object, by: str) -> None:
        with new_draft() as draft:
            draft.write(content)
            checked = services.checked_file(
                draft=draft, filename=name, metadata=metadata, principal=by
            )
            with checked as record:
                # Before the file is there: what breaks off in between leaves nothing unclaimed.
                self.claim(name, record["_id"])
                services.add_file(record, principal=by)

    def _let_download(self, name: str, times: int, by: str) -> None:
        file_id = self._there()[name]
        for _ in range(times):
            accesses.note_download(
                file_id=file_id, principal=by, status=200, range_=None, counts=True
            )
        if times:
            links.make_link(
                file_id=file_id, expires_in=86_400, disposition="attachment", principal=by
            )

    def remove(self, *, by: str, seen: Seen) -> None:
        for file_id in self.claims().values():
            if file_id is not None:
                with suppress(StoredFileNotFound):
                    services.delete_file(file_id=file_id, principal=by)
            seen()
        self.release()
