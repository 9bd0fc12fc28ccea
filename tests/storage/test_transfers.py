"""Export, wipe, import: what comes back is what was there, byte for byte."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import sys
import types
import uuid
from itertools import islice

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from django.core.management import CommandError, call_command

from core import audit
from core.data import collections as store
from core.data.client import documents as source
from storage import operations, transfers

EVERY_TYPE = [
    {"_id": "str", "text": "Zoë\u2028 \" \\ \x01", "none": None, "yes": True},
    {"_id": 1, "int32": 1, "int64": bson.Int64(1), "big": 2**62, "double": 1.0, "zero": -0.0},
    {"_id": bson.Int64(2), "nan": float("nan"), "inf": float("inf"), "less": float("-inf")},
    {"_id": bson.ObjectId(), "decimal": bson.Decimal128("1.10"), "tiny": 5e-324},
    {"_id": bson.Binary(uuid.uuid4().bytes, 4), "bytes": b"\x00\xff", "other": bson.Binary(b"x", 128)},
    {"_id": 3.5, "date": dt.datetime(2026, 1, 31, 12, 0, 0, 1000)},
    {"_id": dt.datetime(1900, 1, 1), "far": bson.datetime_ms.DatetimeMS(2**60)},
    {"_id": {"a": 1, "b": [1, {"c": {}}]}, "empty": [], "object": {}},
    {"_id": True, "regex": bson.Regex("^a", "im"), "code": bson.Code("f()"), "scope": bson.Code("g()", {"x": 1})},
    {"_id": "rare", "min": bson.MinKey(), "max": bson.MaxKey(), "time": bson.Timestamp(1, 2)},
    {"_id": "ref", "ref": bson.DBRef("c", bson.ObjectId(), "db")},
    {"_id": "names", "a.b": 1, "": 2, "with $ inside": 3},
]  # fmt: skip


def raws(name):
    options = bson.CodecOptions(document_class=RawBSONDocument)
    found = source(name).with_options(options).find().sort("_id")
    return [bytes(each.raw) for each in found]


def run(*args, **kwargs):
    out = io.StringIO()
    call_command(*args, "--json", stdout=out, **kwargs)
    return json.loads(out.getvalue())


@pytest.fixture
def many(collection, documents):
    documents.insert_many({"_id": f"k{n:05}", "n": n} for n in range(5000))
    documents.insert_many({"_id": n, "n": n} for n in range(5000))
    return collection


@pytest.mark.parametrize("suffix", [".ndjson", ".ndjson.gz"])
def test_every_type_comes_back_as_it_was(collection, documents, tmp_path, suffix):
    documents.insert_many(EVERY_TYPE)
    documents.create_index([("n", -1)], sparse=True, name="by n")
    before = raws(collection)
    path = tmp_path / f"{collection}{suffix}"
    assert run("export", collection, "-o", str(path)) == [
        {"collection": collection, "documents": len(EVERY_TYPE), "file": str(path)}
    ]
    documents.drop()
    (found,) = run("import", str(path))
    assert (found["collection"], found["inserted"], found["indexes"]) == (
        collection,
        len(EVERY_TYPE),
        1,
    )
    assert raws(collection) == before
    (_, index) = operations.list_indexes(collection=collection)
    assert (index["name"], index["keys"]) == ("by n", [["n", -1]])


def test_lines_are_extended_json_that_others_read(collection, documents, tmp_path):
    documents.insert_one({"_id": bson.ObjectId("6" * 24), "n": bson.Int64(5), "x": 1.5})
    path = tmp_path / "x.ndjson"
    run("export", collection, "-o", str(path))
    assert path.read_text() == (
        '{"_id":{"$oid":"666666666666666666666666"},"n":{"$numberLong":"5"},"x":1.5}\n'
    )
    assert bson.json_util.loads(path.read_text())["n"] == 5


def test_all_collections_go_into_a_directory_and_come_back(many, documents, tmp_path):
    directory = tmp_path / "backup"
    run("export", "-o", str(directory), "--gzip")
    assert (directory / f"{many}.ndjson.gz").exists()
    before = raws(many)
    documents.drop()
    run("import", str(directory), "--on-conflict", "skip")
    assert raws(many) == before


def test_pages_walk_over_keys_of_several_types(many, monkeypatch):
    monkeypatch.setattr(store, "_READ_AT_ONCE", 777)
    found = [document["_id"] for page in store.read_all(many, {}) for document in page]
    assert found == [*range(5000), *(f"k{n:05}" for n in range(5000))]


def test_a_query_chooses(many, tmp_path):
    path = tmp_path / "some.ndjson"
    (found,) = run("export", many, "-o", str(path), "--query", '{"n": {"$lt": 5}}')
    assert found["documents"] == 10
    with pytest.raises(CommandError, match="is allowed here"):
        run("export", many, "-o", str(path), "--overwrite", "--query", '{"$where": "1"}')


class Stopped(Exception):
    pass


@pytest.mark.parametrize("suffix", [".ndjson", ".ndjson.gz"])
def test_an_export_that_broke_off_goes_on(many, tmp_path, monkeypatch, suffix):
    whole, path = tmp_path / f"whole{suffix}", tmp_path / f"broken{suffix}"
    transfers.export_file(whole, collection=many, by="t")
    monkeypatch.setattr(transfers, "_CHECKPOINT", 3000)

    def stop(count):
        if count >= 6000:
            raise Stopped

    with pytest.raises(Stopped):
        transfers.export_file(path, collection=many, by="t", seen=stop)
    assert not path.exists()
    part = tmp_path / f"broken{suffix}.partial"
    with part.open("ab") as file:
        file.write(b"half a li")
    with pytest.raises(CommandError, match="--resume, or --overwrite"):
        run("export", many, "-o", str(path))
    with pytest.raises(CommandError, match="another collection or query"):
        run("export", many, "-o", str(path), "--resume", "--query", '{"n": 1}')
    seen = []
    assert (
        transfers.export_file(path, collection=many, by="t", resume=True, seen=seen.append) == 10000
    )
    assert seen[0] > 6000
    read = gzip.decompress if suffix.endswith("gz") else bytes
    assert read(path.read_bytes()) == read(whole.read_bytes())
    beside = {each.name for each in tmp_path.iterdir() if "broken" in each.name}
    assert beside == {path.name, "broken.indexes.json"}
    with pytest.raises(CommandError, match="is there already"):
        run("export", many, "-o", str(path))


def test_an_import_that_broke_off_goes_on(many, documents, tmp_path, monkeypatch):
    path = tmp_path / "x.ndjson"
    transfers.export_file(path, collection=many, by="t")
    before = raws(many)
    documents.drop()
    monkeypatch.setattr(transfers, "_CHECKPOINT", 2000)

    def stop(count):
        if count >= 5000:
            raise Stopped

    with pytest.raises(Stopped):
        transfers.import_file(path, collection=many, by="t", seen=stop)
    done = transfers.import_file(path, collection=many, by="t", resume=True)
    assert (done.resumed_after, done.unchanged, done.inserted) == (4000, 1000, 5000)
    assert raws(many) == before
    assert not list(tmp_path.glob("*progress*"))


def test_the_same_file_twice_changes_nothing(many, tmp_path):
    path = tmp_path / "x.ndjson"
    transfers.export_file(path, collection=many, by="t")
    done = transfers.import_file(path, collection=many, by="t")
    assert (done.inserted, done.unchanged) == (0, 10000)


def test_what_happens_to_keys_that_others_have(collection, documents, tmp_path):
    documents.insert_many([{"_id": "a", "n": 1}, {"_id": "b", "n": 1}])
    path = tmp_path / "x.ndjson"
    path.write_text('{"_id": "a", "n": 1}\n\n{"_id": "b", "n": 2}\n{"n": 3}\n')
    with pytest.raises(CommandError, match="1 documents have keys that others have"):
        run("import", str(path), "--collection", collection)
    (found,) = run("import", str(path), "--collection", collection, "--on-conflict", "skip")
    assert (found["unchanged"], found["skipped"], found["inserted"]) == (1, 1, 1)
    assert documents.find_one({"_id": "b"})["n"] == 1
    (found,) = run("import", str(path), "--collection", collection, "--on-conflict", "replace")
    assert (found["unchanged"], found["replaced"]) == (1, 1)
    assert documents.find_one({"_id": "b"})["n"] == 2
    assert audit.find(action="storage.import", limit=1)[0]["details"]["replaced"] == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"a": 1', "Line 2: This is not valid JSON"),
        (b"[1]", "Line 2: A document must be an object"),
        (b'{"a": {"$oid": "x"}}', "Line 2: This is not valid Extended JSON"),
        (b'{"a": {"$date": "yesterday"}}', "Line 2: This is not valid Extended JSON"),
        (b'{"a": {"$numberLong": "x"}}', "Line 2: This is not valid Extended JSON"),
        (b'{"a": {"$binary": 5}}', "Line 2: This is not valid Extended JSON"),
        (b'{"a": 99999999999999999999999}', "Line 2: "),
        (b'{"a": 18446744073709551615}', "Line 2: "),
        (b'{"a": 1, "a": 2}', "Line 2: "),
        (b"\xff", "Line 2: This is not valid JSON"),
    ],
)
def test_a_line_that_is_no_document_is_named(collection, tmp_path, line, words):
    path = tmp_path / "x.ndjson"
    path.write_bytes(b'{"_id": 1}\n' + line + b"\n")
    with pytest.raises(CommandError, match=words):
        run("import", str(path), "--collection", collection)


def test_files_that_cannot_be_are_said(collection, documents, tmp_path):
    documents.insert_one({})
    (tmp_path / "x.ndjson.gz").write_bytes(b"no gzip")
    for source_, words in (
        ("missing.ndjson", "Cannot read"),
        ("x.ndjson.gz", "Cannot read"),
        (".", "Line|Cannot read|There are no files"),
    ):
        with pytest.raises(CommandError, match=words):
            run("import", str(tmp_path / source_))
    with pytest.raises(CommandError, match=r"must end in \.ndjson"):
        run("export", collection, "-o", str(tmp_path / "x.csv"))
    with pytest.raises(CommandError, match="Cannot write"):
        run("export", collection, "-o", "/proc/nothing/x.ndjson")
    with pytest.raises(CommandError, match="There is no collection"):
        run("export", "nothere", "-o", str(tmp_path / "y.ndjson"))


def test_the_standard_streams(collection, documents, monkeypatch):
    documents.insert_one({"_id": 1})
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", types.SimpleNamespace(buffer=out))
    call_command("export", collection, "-o", "-")
    assert out.getvalue() == b'{"_id":1}\n'
    documents.drop()
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(out.getvalue())))
    (found,) = run("import", "-", "--collection", collection)
    assert found["inserted"] == 1
    with pytest.raises(CommandError, match="Say --collection"):
        run("import", "-")


def test_memory_holds_one_batch(many):
    pages = store.read_all(many, {})
    assert [len(page) for page in islice(pages, 3)] == [2000, 1999, 1999]
