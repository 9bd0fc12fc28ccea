"""The authentication service's part of the OpenAPI document."""

from __future__ import annotations

from functools import partial

from core.http.openapi import (
    COLLECTION,
    IDEMPOTENCY_KEY,
    Schema,
    in_path,
    object_of,
    operation,
    out_header,
    success,
)

_operation = partial(operation, "auth")

STRING: Schema = {"type": "string"}
TIME: Schema = {"type": "string", "format": "date-time"}
KEY: Schema = {"type": "string", "minLength": 1, "maxLength": 254}
PASSWORD: Schema = {"type": "string", "minLength": 8, "maxLength": 1024, "format": "password"}
FIELDS: Schema = {
    "type": "object",
    "description": "Any fields but those that start with `_`.",
    "additionalProperties": True,
}
USER: Schema = {
    "type": "object",
    "required": ["_id", "_key"],
    "properties": {"_id": STRING, "_key": STRING},
    "additionalProperties": True,
}
TIMES: dict[str, Schema] = {"signed_in_at": TIME, "last_seen_at": TIME, "expires_at": TIME}
ADA = {"_id": "665f1d2ab7e4c81f9a3d5e70", "_key": "ada@example.com", "name": "Ada"}
SEEN = {
    "signed_in_at": "2026-01-31T12:00:00.000Z",
    "last_seen_at": "2026-01-31T12:30:00.000Z",
    "expires_at": "2026-02-14T12:30:00.000Z",
}
SESSION_ID = "9f86d081884c7d659a2feaa0"
SIGNED_IN: list[dict[str, list[str]]] = [{"ApiKey": [], "Session": []}]


def _credentials(**optional: Schema) -> Schema:
    body = object_of({"_key": KEY, "_password": PASSWORD})
    return {**body, "properties": {**body["properties"], **optional}}


signup = _operation(
    "auth_signup",
    "Sign up",
    "Make a user. `_key` is stripped, NFKC-normalised and case-folded, and unique in its "
    "collection. Nobody is signed in by this.",
    parameters=[
        COLLECTION,
        IDEMPOTENCY_KEY,
        out_header("Location", "The user's session.", [201]),
        out_header("Idempotent-Replayed", "`true`", [201]),
    ],
    body=_credentials(document=FIELDS),
    example={
        "_key": "ada@example.com",
        "_password": "correct horse battery",
        "document": {"name": "Ada"},
    },
    answers=success(201, "The user document", USER, ADA),
    errors=(409, 422),
)
signin = _operation(
    "auth_signin",
    "Sign in",
    "Begin a session. Browsers get a cookie; others send the `X-Session-Token` of this answer "
    "back in the header of that name. `query` is a condition that the user document must meet, "
    "now and as long as the session is used.",
    parameters=[COLLECTION, out_header("X-Session-Token", "The session's token.", [200])],
    body=_credentials(query={"type": "object"}),
    example={
        "_key": "ada@example.com",
        "_password": "correct horse battery",
        "query": {"active": {"$ne": False}},
    },
    answers=success(200, "The user document", USER, ADA),
)
session = _operation(
    "auth_session",
    "Who is signed in",
    "The signed-in user and the session.",
    parameters=[COLLECTION],
    auth=SIGNED_IN,
    answers=success(
        200,
        "The user and the session",
        object_of(
            {"user": USER, "session": object_of({"id": STRING, "collection": STRING, **TIMES})}
        ),
        {"user": ADA, "session": {"id": SESSION_ID, "collection": "customers", **SEEN}},
    ),
)
_signed_out = success(
    200, "Done", object_of({"signed_out": {"type": "boolean"}}), {"signed_out": True}
)
signout, signout_by_get = (
    _operation(
        name,
        "Sign out",
        "End the session; `false` when there was none.",
        parameters=[COLLECTION],
        auth=SIGNED_IN,
        answers=_signed_out,
        methods=[method],
    )
    for name, method in (("auth_signout", "POST"), ("auth_signout_by_get", "GET"))
)
refresh = _operation(
    "auth_refresh",
    "Change the signed-in user",
    "Set fields of the user document, or a new password, which needs the current one and ends "
    "all the user's other sessions.",
    parameters=[COLLECTION],
    auth=SIGNED_IN,
    body={
        "type": "object",
        "minProperties": 1,
        "properties": {"document": FIELDS, "_password": PASSWORD, "_current_password": PASSWORD},
    },
    example={"document": {"name": "Ada Lovelace"}},
    answers=success(200, "The user document", USER, {**ADA, "name": "Ada Lovelace"}),
    errors=(422,),
)
sessions = _operation(
    "auth_sessions",
    "List sessions",
    "The signed-in user's own sessions, the newest first.",
    parameters=[COLLECTION],
    auth=SIGNED_IN,
    answers=success(
        200,
        "The sessions",
        {
            "type": "array",
            "items": object_of(
                {
                    "id": STRING,
                    "current": {"type": "boolean"},
                    **TIMES,
                    "ip": STRING,
                    "user_agent": STRING,
                }
            ),
        },
        [{"id": SESSION_ID, "current": True, **SEEN, "ip": "192.0.2.7", "user_agent": "curl/8"}],
    ),
)
revoke = _operation(
    "auth_revoke",
    "End a session",
    "End one of the signed-in user's sessions, or with `others` all but this one.",
    parameters=[COLLECTION, in_path("session_id", "A session's id, or `others`.")],
    auth=SIGNED_IN,
    answers=success(
        200, "How many ended", object_of({"revoked": {"type": "integer"}}), {"revoked": 1}
    ),
    errors=(404,),
)
