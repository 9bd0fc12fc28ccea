"""The archive service's part of the OpenAPI document."""

from __future__ import annotations

from functools import partial

from drf_spectacular.utils import OpenApiResponse

from core.http.openapi import (
    IDEMPOTENCY_KEY,
    LIST_PARAMETERS,
    Responses,
    Schema,
    in_header,
    in_path,
    object_of,
    operation,
    out_header,
    success,
)

_operation = partial(operation, "archive")

STRING: Schema = {"type": "string"}
TIME: Schema = {"type": "string", "format": "date-time"}
COUNT: Schema = {"type": "integer", "minimum": 0}
FILE_ID = in_path("file_id", "The file's `_id`.")
RECORD = object_of(
    {
        "_id": STRING,
        "filename": STRING,
        "size": {**COUNT, "description": "In bytes."},
        "content_type": STRING,
        "sha256": {**STRING, "pattern": "^[0-9a-f]{64}$"},
        "uploaded_at": TIME,
        "security_status": {"enum": ["clean", "unscanned", "infected", "error"]},
        "metadata": {"type": "object", "additionalProperties": True},
        "downloads": COUNT,
        "last_downloaded_at": {"type": ["string", "null"], "format": "date-time"},
    }
)
LOGO = {
    "_id": "665f1d2ab7e4c81f9a3d5e70",
    "filename": "logo.png",
    "size": 5120,
    "content_type": "image/png",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "uploaded_at": "2026-01-31T12:00:00.000Z",
    "security_status": "clean",
    "metadata": {"album": "brand"},
    "downloads": 0,
    "last_downloaded_at": None,
}
_BYTES: Schema = {"type": "string", "format": "binary"}
SIGNED_OR_KEY: list[dict[str, list[str]]] = [{"ApiKey": []}, {}]

upload = _operation(
    "archive_upload",
    "Upload a file",
    "A form with the part `file` and, if you like, the part `metadata`, a JSON object. The type "
    "is told from the content; it must be on the server's list and agree with the name.",
    parameters=[
        IDEMPOTENCY_KEY,
        out_header("Location", "Where to download the file.", [201]),
        out_header("Idempotent-Replayed", "`true`", [201]),
    ],
    body={
        "type": "object",
        "required": ["file"],
        "properties": {
            "file": _BYTES,
            "metadata": {"type": "object", "additionalProperties": True},
        },
    },
    media="multipart/form-data",
    answers=success(201, "The file's record", RECORD, LOGO),
    errors=(409, 422),
)
list_ = _operation(
    "archive_list",
    "List files",
    "Records that match, the newest first; always a list. `query` may ask about any field of the "
    "record, and of `metadata` as `metadata.album`.",
    parameters=LIST_PARAMETERS,
    answers=success(200, "The records", {"type": "array", "items": RECORD}, [LOGO]),
    errors=(413,),
)
_answers: Responses = {
    (status, "application/octet-stream"): OpenApiResponse(response=_BYTES, description=text)
    for status, text in ((200, "The file, under its own Content-Type"), (206, "The range"))
}
download = _operation(
    "archive_download",
    "Download a file",
    "The bytes, for an API key or whoever holds a signed link.",
    parameters=[
        FILE_ID,
        in_header("Range", "One range of bytes, such as `bytes=0-1023`."),
        in_header("If-Range", "An ETag or a date: the range only if the file is still that one."),
        in_header("If-None-Match", "304 when the file has this ETag."),
        in_header("If-Modified-Since", "304 when the file was not uploaded after this."),
        out_header("ETag", "The SHA-256 of the content.", [200, 206, 304]),
        out_header("Last-Modified", "When the file was uploaded.", [200, 206, 304]),
        out_header("Accept-Ranges", "`bytes`", [200, 206, 304]),
        out_header("Content-Disposition", "The file's name.", [200, 206]),
        out_header("Content-Range", "Which part of how much.", [206, 416]),
    ],
    auth=SIGNED_OR_KEY,
    answers={
        **_answers,
        (304, "application/octet-stream"): OpenApiResponse(description="Not modified"),
    },
    errors=(404, 412, 416, 422),
)
delete = _operation(
    "archive_delete",
    "Delete a file",
    "The record and the bytes.",
    parameters=[FILE_ID],
    answers=success(
        200,
        "Deleted",
        object_of({"deleted": {"type": "boolean"}, "file": RECORD}),
        {"deleted": True, "file": LOGO},
    ),
    errors=(404,),
)
link = _operation(
    "archive_link",
    "Make a signed link",
    "A download for whoever holds the link, without a key, until then or until the file is gone.",
    parameters=[FILE_ID],
    body={
        "type": "object",
        "properties": {
            "expires_in": {"type": "integer", "minimum": 1, "maximum": 604_800, "default": 3600},
            "disposition": {"enum": ["attachment", "inline"], "default": "attachment"},
        },
    },
    example={"expires_in": 3600, "disposition": "inline"},
    answers=success(
        201,
        "The link",
        object_of({"url": {**STRING, "format": "uri"}, "expires_at": TIME}),
        {
            "url": "https://api.example.com/service/archive/v1/download/665f1d2ab7e4c81f9a3d5e70/"
            "?expires=1769864400&disposition=inline&signature=5e88",
            "expires_at": "2026-01-31T13:00:00.000Z",
        },
    ),
    errors=(404,),
)
