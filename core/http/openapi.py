"""Pieces of the OpenAPI document that every service uses; plain data and small builders.

Read by each service's ``schema`` module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
)

Schema = dict[str, Any]
Responses = dict[tuple[int, str], OpenApiResponse]
Action = TypeVar("Action", bound=Callable[..., object])

DOCUMENT: Schema = {"$ref": "#/components/schemas/Document"}
PROBLEM: Schema = {"$ref": "#/components/schemas/Problem"}

# Actions and their descriptions, in the order in which they were decorated.
_waiting: list[tuple[Callable[..., object], Callable[[Any], Any]]] = []

_PROBLEMS: dict[int, tuple[str, str]] = {
    400: ("Malformed or refused input", "invalid_query"),
    401: ("The API key is missing, unknown, expired or revoked", "missing_api_key"),
    402: ("A card does not pay", "card_declined"),
    403: ("The API key lacks the scope", "insufficient_scope"),
    404: ("Not found", "document_not_found"),
    409: ("A key is taken, or the first request with this Idempotency-Key runs", "duplicate_key"),
    412: ("A precondition does not hold", "precondition_failed"),
    413: ("The body, a document or the answer is too large", "document_too_large"),
    415: ("The body is not JSON in UTF-8", "unsupported_media_type"),
    416: ("The range begins after the end", "range_not_satisfiable"),
    422: ("Well formed, but not possible", "idempotency_key_reused"),
    429: ("Over a rate limit; see Retry-After", "rate_limited"),
    502: ("Stripe does not answer", "stripe_unavailable"),
    503: ("A part does not answer; see Retry-After", "database_unavailable"),
    504: ("Over the time limit of a database operation", "query_timeout"),
}


def problems(*statuses: int) -> Responses:
    """The problem answers of a route, beside those that every route has."""
    every = {400, 401, 403, 429, 503, 504, *statuses}
    return {
        (status, "application/problem+json"): OpenApiResponse(
            response=PROBLEM,
            description=_PROBLEMS[status][0],
            examples=[_problem_example(status)],
        )
        for status in sorted(every)
    }


def _problem_example(status: int) -> OpenApiExample:
    description, code = _PROBLEMS[status]
    return OpenApiExample(
        code,
        value={
            "type": f"urn:coglex:problem:{code}",
            "title": code.replace("_", " ").capitalize(),
            "status": status,
            "detail": f"{description}.",
            "code": code,
            "request_id": "9f2c1b7e5d3a4c60",
        },
        response_only=True,
        status_codes=[str(status)],
    )


def success(status: int, description: str, schema: Schema, example: object) -> Responses:
    """A successful JSON answer with one example."""
    return {
        (status, "application/json"): OpenApiResponse(
            response=schema,
            description=description,
            examples=[
                OpenApiExample(
                    "example", value=example, response_only=True, status_codes=[str(status)]
                )
            ],
        )
    }


def object_of(properties: Mapping[str, Schema]) -> Schema:
    """An object with exactly these members."""
    return {"type": "object", "required": list(properties), "properties": dict(properties)}


def in_query(name: str, description: str, example: object, schema: Any = str) -> OpenApiParameter:
    """A query parameter."""
    return OpenApiParameter(
        name,
        schema,
        OpenApiParameter.QUERY,
        description=description,
        examples=[OpenApiExample("example", value=example)],
    )


def declare_tags(result: Schema, **_: Any) -> Schema:
    """Declare the tags that modules of the gateway use."""
    used = {
        tag for item in result["paths"].values() for each in item.values() for tag in each["tags"]
    }
    declared = {tag["name"] for tag in result["tags"]}
    new = [
        {"name": name, "description": "A module of this server's gateway."}
        for name in sorted(used - declared)
    ]
    return {**result, "tags": [*result["tags"], *new]}


def without_last_slash(result: Schema, **_: Any) -> Schema:
    """Name each path once: it answers the same with and without its last slash."""
    paths = {path.rstrip("/"): item for path, item in result["paths"].items()}
    return {**result, "paths": paths}


def in_path(name: str, description: str) -> OpenApiParameter:
    """A part of the path."""
    return OpenApiParameter(name, OpenApiTypes.STR, OpenApiParameter.PATH, description=description)


def in_header(name: str, description: str) -> OpenApiParameter:
    """A request header."""
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, description=description)


def out_header(name: str, description: str, statuses: Sequence[int]) -> OpenApiParameter:
    """A header of the answers with these statuses."""
    return OpenApiParameter(
        name, str, OpenApiParameter.HEADER, description=description, response=list(statuses)
    )


COLLECTION = in_path("collection", "Letters, digits, `_`, `.` and `-`; up to 64 characters.")
IDEMPOTENCY_KEY = in_header(
    "Idempotency-Key",
    "1 to 255 visible ASCII characters. The same key with the same body replays the first answer "
    "for 24 hours.",
)
QUERY = in_query("query", "A filter in MongoDB's language, as JSON.", '{"price": {"$lt": 20}}')
KEYS = in_query(
    "keys", "The fields to return: a JSON object of 0 or 1, or a JSON list of names.", '["name"]'
)
LIST_PARAMETERS = [
    QUERY,
    KEYS,
    in_query("sort", "A JSON object of 1 or -1, or names with `-` for descending.", "-price,name"),
    in_query("limit", "1 to 1000; 100 unless given.", 20, int),
    in_query("skip", "0 to 100,000.", 0, int),
    in_query("count", "`true` adds `X-Total-Count`.", example=True, schema=bool),
    in_query("after", "Part of a next link; opaque.", "eJxjYBBgYGBgBAAANgAI"),
    out_header("Link", 'The next page, as `rel="next"`, when more follow.', [200]),
    out_header("X-Total-Count", "How many match, when asked for.", [200]),
]
IF_MATCH = in_header("If-Match", "Only if the stored document still has this ETag.")
EVERYWHERE = [
    in_header("X-Request-ID", "1 to 64 of `A-Z a-z 0-9 . _ -`; taken over, else made."),
    out_header(
        "X-Request-ID",
        "The request's id, also in every log line.",
        [200, 201, 206, 304, *_PROBLEMS],
    ),
    out_header("Retry-After", "Seconds.", [429, 503]),
]


def operation(
    tag: str,
    name: str,
    summary: str,
    description: str,
    *,
    answers: Responses,
    errors: tuple[int, ...] = (),
    parameters: Sequence[Any] = (),
    body: Schema | None = None,
    media: str = "application/json",
    example: object = None,
    auth: Any = None,
    methods: list[str] | None = None,
) -> Callable[[Action], Action]:
    """Decorate a viewset's action with its part of the document.

    ``errors`` are the statuses beside those that every route has; ``auth`` the security
    requirements where they are not just the API key; ``methods`` where an action has several.
    """
    if body is not None:
        errors = (*errors, 413, 415)
    examples = [OpenApiExample("example", value=example, request_only=True)] if example else []
    described = extend_schema(
        operation_id=name,
        summary=summary,
        description=description,
        tags=[tag],
        parameters=[*parameters, *EVERYWHERE],
        request={media: body} if body is not None else None,
        responses={**answers, **problems(*errors)},
        examples=examples,
        auth=auth,
        methods=methods,
    )

    def decorate(action: Action) -> Action:
        _waiting.append((action, described))
        return action

    return decorate


def describe_actions(endpoints: list[Any]) -> list[Any]:
    """Describe what was decorated, when the document is made: few workers are ever asked for it,
    and what it takes is large. A hook of drf-spectacular."""
    while _waiting:
        action, described = _waiting.pop(0)
        described(action)
    return endpoints
