"""The storage service's part of the OpenAPI document: decorators for its viewsets' actions."""

from __future__ import annotations

from functools import partial
from typing import Any

from drf_spectacular.utils import OpenApiResponse

from core.http.openapi import (
    COLLECTION,
    DOCUMENT,
    IDEMPOTENCY_KEY,
    IF_MATCH,
    KEYS,
    LIST_PARAMETERS,
    QUERY,
    Schema,
    in_header,
    in_path,
    object_of,
    operation,
    out_header,
    success,
)

KEY = in_path(
    "key", "The document's `_id` as a string; else the ObjectId, UUID or integer so spelled."
)
INTEGER: Schema = {"type": "integer"}
STRING: Schema = {"type": "string"}
ANY_KEY: Schema = {"description": "A string, integer, ObjectId or UUID."}
DOCUMENTS: Schema = {"type": "array", "items": DOCUMENT}
INSERTED = object_of({"inserted_id": ANY_KEY, "inserted_count": INTEGER, "created_at": STRING})
INSERTED_MANY = object_of(
    {
        "inserted_ids": {"type": "array", "items": ANY_KEY},
        "inserted_count": INTEGER,
        "created_at": STRING,
    }
)
COUNTS = object_of({"matched_count": INTEGER, "modified_count": INTEGER})
DELETED = object_of({"deleted_count": INTEGER})
ADA = {"_id": "665f1d2ab7e4c81f9a3d5e70", "name": "Ada", "age": 36}
INSERTED_ADA = {
    "inserted_id": "665f1d2ab7e4c81f9a3d5e70",
    "inserted_count": 1,
    "created_at": "2026-01-31T12:00:00.000Z",
}
UPDATE: Schema = {
    "type": "object",
    "description": "Update operators (with `arrayFilters` beside them), or fields to set.",
    "minProperties": 1,
    "additionalProperties": True,
}


_operation = partial(operation, "storage")

collections = _operation(
    "storage_collections",
    "List collections",
    "The collections that the key may read, with the number of their documents.",
    answers=success(
        200,
        "The collections",
        {"type": "array", "items": object_of({"name": STRING, "count": INTEGER})},
        [{"name": "products", "count": 42}],
    ),
)
batch = _operation(
    "storage_batch",
    "Run a batch",
    "Up to 1,000 operations over any collections in one transaction: all or none. "
    "The first failure is answered with `/operations/<index>` as its first pointer.",
    parameters=[IDEMPOTENCY_KEY, out_header("Idempotent-Replayed", "`true`", [200])],
    body=object_of(
        {
            "operations": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1000,
                "items": {
                    "type": "object",
                    "required": ["op", "collection"],
                    "properties": {
                        "op": {"enum": ["insert", "update", "replace", "delete"]},
                        "collection": STRING,
                        "key": ANY_KEY,
                        "query": {"type": "object"},
                        "document": DOCUMENT,
                        "documents": DOCUMENTS,
                        "update": UPDATE,
                        "if_match": STRING,
                    },
                },
            }
        }
    ),
    example={
        "operations": [
            {
                "op": "update",
                "collection": "products",
                "key": "tea",
                "update": {"$inc": {"stock": -1}},
            },
            {"op": "insert", "collection": "orders", "document": {"product": "tea"}},
        ]
    },
    answers=success(
        200,
        "What each operation would answer by itself",
        object_of({"results": {"type": "array", "items": {}}}),
        {"results": [{"matched_count": 1, "modified_count": 1}, INSERTED_ADA]},
    ),
    errors=(404, 409, 412, 422),
)

list_ = _operation(
    "storage_list",
    "List documents",
    "Documents that match. Without `limit`, `skip` and a next link, and with exactly one "
    "match, that document itself; otherwise always a list.",
    parameters=[
        COLLECTION,
        *LIST_PARAMETERS,
    ],
    answers=success(200, "The documents", {"oneOf": [DOCUMENTS, DOCUMENT]}, [ADA, {"_id": "tea"}]),
    errors=(413,),
)
insert = _operation(
    "storage_insert",
    "Insert",
    "A document, or a list of 1 to 10,000, of which all are inserted or none.",
    parameters=[
        COLLECTION,
        IDEMPOTENCY_KEY,
        out_header("Location", "The new document, when it was one.", [201]),
        out_header("Idempotent-Replayed", "`true`", [201]),
    ],
    body={"oneOf": [DOCUMENT, {**DOCUMENTS, "minItems": 1, "maxItems": 10_000}]},
    example={"name": "Ada", "age": 36},
    answers=success(201, "Inserted", {"oneOf": [INSERTED, INSERTED_MANY]}, INSERTED_ADA),
    errors=(409, 422),
)
update_many = _operation(
    "storage_update_many",
    "Update many",
    "The update for all that match, all or none. `query` is required; `{}` means all.",
    parameters=[COLLECTION, QUERY],
    body=UPDATE,
    example={"$set": {"active": True}},
    answers=success(200, "Updated", COUNTS, {"matched_count": 3, "modified_count": 2}),
    errors=(409,),
)
delete_many = _operation(
    "storage_delete_many",
    "Delete many",
    "Delete all that match, all or none. `query` is required; `{}` means all.",
    parameters=[COLLECTION, QUERY],
    answers=success(200, "Deleted", DELETED, {"deleted_count": 3}),
)

get = _operation(
    "storage_get",
    "Get a document",
    "The document with this key, with its ETag when it is whole.",
    parameters=[
        COLLECTION,
        KEY,
        KEYS,
        in_header("If-None-Match", "304 when the document still has this ETag."),
        out_header("ETag", "A digest of the stored document.", [200, 304]),
    ],
    answers={
        **success(200, "The document", DOCUMENT, ADA),
        (304, "application/json"): OpenApiResponse(description="Not modified"),
    },
    errors=(404,),
)
put = _operation(
    "storage_put",
    "Replace or create a document",
    "Replace the document with this key, or create it.",
    parameters=[
        COLLECTION,
        KEY,
        IF_MATCH,
        in_header("If-None-Match", "`*`: only if there is no document with this key."),
        out_header("ETag", "A digest of the stored document.", [200, 201]),
        out_header("Location", "The new document.", [201]),
    ],
    body=DOCUMENT,
    example={"name": "Ada", "age": 37},
    answers={
        **success(200, "Replaced", DOCUMENT, ADA),
        **success(201, "Created", DOCUMENT, ADA),
    },
    errors=(409, 412),
)
update = _operation(
    "storage_update",
    "Update a document",
    "Apply update operators to the document with this key, or set fields.",
    parameters=[COLLECTION, KEY, IF_MATCH],
    body=UPDATE,
    example={"$inc": {"age": 1}},
    answers=success(200, "Updated", COUNTS, {"matched_count": 1, "modified_count": 1}),
    errors=(404, 409, 412),
)
delete = _operation(
    "storage_delete",
    "Delete a document",
    "Delete the document with this key.",
    parameters=[COLLECTION, KEY, IF_MATCH],
    answers=success(200, "Deleted", DELETED, {"deleted_count": 1}),
    errors=(404, 412),
)

aggregate = _operation(
    "storage_aggregate",
    "Aggregate",
    "The results of an aggregation pipeline; joined collections need the read scope too.",
    parameters=[COLLECTION],
    body=object_of({"pipeline": {"type": "array", "items": {"type": "object"}}}),
    example={"pipeline": [{"$group": {"_id": "$city", "people": {"$sum": 1}}}]},
    answers=success(200, "The results", DOCUMENTS, [{"_id": "London", "people": 3}]),
)


def documented_endpoints(endpoints: list[Any], **_: Any) -> list[Any]:
    """Leave out the document "aggregate", whose path is that of aggregation."""
    return [
        endpoint
        for endpoint in endpoints
        if not endpoint[0].endswith("/aggregate/") or endpoint[2] == "POST"
    ]
