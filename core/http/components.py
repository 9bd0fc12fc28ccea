"""The components of the OpenAPI document: plain data, which settings read."""

from __future__ import annotations

from typing import Any

COMPONENTS: dict[str, Any] = {
    "securitySchemes": {
        "ApiKey": {
            "type": "apiKey",
            "in": "header",
            "name": "X-API-Key",
            "description": "The server's secret, or a managed key with scopes.",
        },
        "Session": {
            "type": "apiKey",
            "in": "header",
            "name": "X-Session-Token",
            "description": "From the answer to a sign-in; browsers may use the cookie instead.",
        },
    },
    "schemas": {
        "Document": {
            "type": "object",
            "description": (
                "A JSON object. Values that JSON lacks are MongoDB Extended JSON v2: $oid, $date, "
                "$numberLong, $numberInt, $numberDouble, $numberDecimal, $binary, $uuid."
            ),
            "additionalProperties": True,
            "examples": [{"_id": "665f1d2ab7e4c81f9a3d5e70", "name": "Ada", "age": 36}],
        },
        "Problem": {
            "type": "object",
            "description": "What went wrong (RFC 9457).",
            "required": ["type", "title", "status", "detail", "code", "request_id"],
            "properties": {
                "type": {"type": "string", "format": "uri-reference"},
                "title": {"type": "string"},
                "status": {"type": "integer", "minimum": 400, "maximum": 599},
                "detail": {"type": "string"},
                "code": {"type": "string", "pattern": "^[a-z0-9_]+$"},
                "request_id": {"type": "string"},
                "errors": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["code", "detail"],
                        "properties": {
                            "pointer": {"type": "string", "description": "JSON Pointer"},
                            "parameter": {"type": "string"},
                            "code": {"type": "string"},
                            "detail": {"type": "string"},
                        },
                    },
                },
            },
        },
    },
}
