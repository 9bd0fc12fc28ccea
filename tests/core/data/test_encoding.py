"""Extended JSON: strict in, exact out, nothing lost between."""

from __future__ import annotations

import base64
import copy
import json
import math
from datetime import datetime

import bson
import pytest
from bson import Int64, ObjectId
from hypothesis import given
from hypothesis import strategies as st

from core.data.client import CODEC
from core.data.encoding import decode_document, decode_value, dumps, loads
from core.errors import CoglexError, InvalidDocument, InvalidJSON


def stored(text):
    """What comes back of a document after MongoDB kept it."""
    raw = bson.encode(decode_document(loads(text)), codec_options=CODEC)
    return json.loads(dumps(bson.decode(raw, CODEC)))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"{",
        b"{} {}",
        b"nul",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b'{"a": NaN}',
        b"1e400",
        b'{"a": -1e400}',
        b"9223372036854775808",
        b"-9223372036854775809",
        b'{"a": 18446744073709551616}',
        b"9" * 5000,
        b'{"a": ' + b"1" * 5000 + b"}",
        b'"\\ud800"',
        b'{"\\udc00": 1}',
        b'"\xed\xa0\x80"',
        b'"\xff"',
        b"\xef\xbb\xbf{}",
        '{"a": "é"}'.encode("latin-1"),
        '{"a": 1}'.encode("utf-16"),
        b'{"a": 1, "a": 1}',
        b'{"x": [{"a": 1, "b": ":", "a": 2}]}',
        b'{"a": 1, "a": "\\u003a"}',
        b'{"a": {"b:c": 1, "b:c": 1}}',
        b'{"a": 1, "\\u0061": 2}',
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"[" * 500 + b"]" * 500,
        b'{"a": 01}',
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": "\n"}',
    ],
)
def test_what_cannot_be_kept_exactly_is_refused(text):
    with pytest.raises(InvalidJSON):
        loads(text)


@pytest.mark.parametrize(
    "text",
    [
        b"9223372036854775807",
        b"-9223372036854775808",
        b"1e300",
        b"123456789012345678901.5",
        b'{"a:b": ":", "a": "::"}',
        b'{"a": "\\u003a\\u003A", "b": 1}',
        b'"\\u0000"',
        '{"é": "日本語 \\ud83d\\ude00"}'.encode(),
        b'{"a": -0.0}',
        b"[" * 90 + b"]" * 90,
    ],
)
def test_the_strict_parser_agrees_with_the_standard_library(text):
    assert loads(text) == json.loads(text)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON, st.booleans())
def test_all_plain_json_is_parsed_as_the_standard_library_does(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert json.dumps(loads(text)) == json.dumps(value)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "a:", "é"]), JSON), min_size=1, max_size=5))
def test_a_key_twice_is_always_found(pairs):
    text = "{" + ",".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in pairs) + "}"
    if len({key for key, _ in pairs}) == len(pairs):
        assert loads(text.encode()) == dict(pairs)
    else:
        with pytest.raises(InvalidJSON):
            loads(text.encode())


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="$.\0"), min_size=1, max_size=5)


def dated(moment):
    """A date as it is written when it has whole milliseconds."""
    precise = "milliseconds" if moment.microsecond >= 1000 else "seconds"
    return {"$date": moment.isoformat(timespec=precise) + "Z"}


def binary(data, subtype):
    return {"$binary": {"base64": base64.b64encode(data).decode(), "subType": f"{subtype:02x}"}}


WRAPPED = st.one_of(
    st.binary(min_size=12, max_size=12).map(lambda data: {"$oid": data.hex()}),
    st.uuids().map(lambda value: {"$uuid": str(value)}),
    st.datetimes(min_value=datetime(1970, 1, 1)).map(dated),
    st.integers(-(2**63), -1).map(lambda n: {"$date": {"$numberLong": str(n)}}),
    st.integers(-(10**12), 10**12).map(
        lambda n: {"$numberDecimal": str(bson.Decimal128(f"{n}E-3"))}
    ),
    st.builds(binary, st.binary(max_size=9), st.sampled_from([0, 1, 5, 0x80])),
)
DOCUMENTS = st.dictionaries(
    NAMES,
    st.recursive(
        JSON.filter(lambda v: not isinstance(v, dict | list)) | WRAPPED,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=12,
    ),
    max_size=5,
)


@given(DOCUMENTS)
def test_every_accepted_type_comes_back_as_it_was_sent(document):
    assert stored(json.dumps(document).encode()) == document


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"$numberLong": "5"}, 5),
        ({"$numberInt": "-5"}, -5),
        ({"$numberDouble": "5"}, 5.0),
        ({"$numberDouble": "-0.0"}, -0.0),
        ({"$date": "2020-02-29T12:00:00+02:00"}, {"$date": "2020-02-29T10:00:00Z"}),
        ({"$date": "2020-02-29T12:00:00.1Z"}, {"$date": "2020-02-29T12:00:00.100Z"}),
        ({"$date": "2020-02-29T12:00:00.123456Z"}, {"$date": "2020-02-29T12:00:00.123Z"}),
        ({"$date": "1950-01-01T00:00:00Z"}, {"$date": {"$numberLong": "-631152000000"}}),
        ({"$date": {"$numberLong": "0"}}, {"$date": "1970-01-01T00:00:00Z"}),
        (
            {"$date": {"$numberLong": str(2**63 - 1)}},
            {"$date": {"$numberLong": str(2**63 - 1)}},
        ),
        (
            {"$binary": {"base64": "MDEyMzQ1Njc4OWFiY2RlZg==", "subType": "4"}},
            {"$uuid": "30313233-3435-3637-3839-616263646566"},
        ),
    ],
)
def test_typed_values_come_back_in_their_usual_form(sent, kept):
    back = stored(json.dumps({"a": sent}).encode())["a"]
    assert back == kept
    if isinstance(kept, float):
        assert isinstance(back, float)
        assert math.copysign(1, back) == math.copysign(1, kept)


def test_a_long_is_stored_as_a_long():
    assert isinstance(decode_value({"$numberLong": "5"}), Int64)
    assert type(decode_value({"$numberInt": "5"})) is int


@pytest.mark.parametrize(
    "value",
    [
        {"$code": "x"},
        {"$code": "x", "$scope": {}},
        {"$dbPointer": {}},
        {"$ref": "a", "$id": 1},
        {"$symbol": "x"},
        {"$regularExpression": {"pattern": "a", "options": ""}},
        {"$regex": "a"},
        {"$timestamp": {"t": 1, "i": 1}},
        {"$minKey": 1},
        {"$maxKey": 1},
        {"$undefined": True},
        {"$oid": "x"},
        {"$oid": 5},
        {"$oid": {"$oid": "0" * 24}},
        {"$oid": "0" * 24, "a": 1},
        {"$date": "yesterday"},
        {"$date": "2020-01-01"},
        {"$date": "2020-01-01T00:00:00"},
        {"$date": "2020-13-01T00:00:00Z"},
        {"$date": 5},
        {"$date": {"$numberLong": 5}},
        {"$date": {"$numberLong": str(2**63)}},
        {"$numberLong": "9223372036854775808"},
        {"$numberLong": "1.5"},
        {"$numberLong": 5},
        {"$numberLong": "٣"},
        {"$numberInt": "2147483648"},
        {"$numberDouble": "NaN"},
        {"$numberDouble": "Infinity"},
        {"$numberDouble": "1e999"},
        {"$numberDouble": "0x1p3"},
        {"$numberDecimal": "NaN"},
        {"$numberDecimal": "1" * 40},
        {"$numberDecimal": "1e99999"},
        {"$numberDecimal": "1" * 100_000},
        {"$binary": "AAE="},
        {"$binary": {"base64": "A", "subType": "00"}},
        {"$binary": {"base64": "AAE=", "subType": "xyz"}},
        {"$binary": {"base64": "AAE=", "subType": "04"}},
        {"$binary": {"base64": 5, "subType": "00"}},
        {"$binary": {"base64": "", "subType": ["00"]}},
        {"$uuid": "x"},
        {"$uuid": "00112233445566778899aabbccddeeff"},
        {"$unknown": 1},
        {"": 1},
        {"a.b": 1},
        {"a\0b": 1},
        {"$": 1},
        {"a": {"$where": "1"}},
    ],
)
def test_other_wrappers_and_names_are_refused_wherever_they_stand(value):
    for document, pointer in (
        ({"x": value}, "/x"),
        ({"x": [1, value]}, "/x/1"),
        ({"x": {"y": [{"z": value}]}}, "/x/y/0/z"),
    ):
        with pytest.raises(InvalidDocument) as caught:
            decode_document(loads(json.dumps(document).encode()))
        assert caught.value.errors[0].pointer.startswith(pointer)


def test_pointers_escape_names():
    with pytest.raises(InvalidDocument) as caught:
        decode_document({"a/b~c": {"$code": "x"}})
    assert caught.value.errors[0].pointer == "/a~1b~0c/$code"


@pytest.mark.parametrize("value", [[], 5, "x", None, True, {"$oid": "0" * 24}])
def test_a_document_is_an_object(value):
    with pytest.raises(InvalidDocument):
        decode_document(value)


@pytest.mark.parametrize("shape", ['{"a":', "["])
def test_fifty_levels_are_taken_and_more_refused(shape):
    close = "}" if shape.startswith("{") else "]"

    def nested(levels):
        inner = shape * (levels - 1) + "1" + close * (levels - 1)
        return loads(('{"a":' + inner + "}").encode())

    assert decode_document(nested(50))
    with pytest.raises(InvalidDocument):
        decode_document(nested(51))


@given(st.binary(max_size=60))
def test_any_bytes_give_a_value_or_the_domains_error(raw):
    try:
        value = loads(raw)
        decode_document(value)
    except CoglexError:
        pass


def test_what_is_decoded_stays_as_it_was_sent():
    plain = {"a": [1, {"b": None}], "c": {"d": []}}
    assert decode_document(plain) is plain
    typed = {"a": [1, {"b": {"$oid": "5" * 24}}], "c": {"d": [{"$numberLong": "1"}]}, "e": [[2]]}
    sent = copy.deepcopy(typed)
    decoded = decode_document(typed)
    assert typed == sent
    assert decoded == {"a": [1, {"b": ObjectId("5" * 24)}], "c": {"d": [1]}, "e": [[2]]}
