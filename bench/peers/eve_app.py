"""Eve's configuration, loaded by gunicorn in an environment that has Eve.

What would cost it time and is not compared is off: links in answers, the count of every list, keys
of callers. ETags are on, as in Coglex, but not required.
"""

from __future__ import annotations

import os

from eve import Eve

FIELDS = {
    "n": {"type": "integer"},
    "group": {"type": "integer"},
    "price": {"type": "float"},
    "name": {"type": "string"},
    "tags": {"type": "list", "schema": {"type": "string"}},
    "text": {"type": "string"},
}


def keyed() -> dict[str, object]:
    """A resource whose documents bring their keys; Eve changes what it is given."""
    return {
        "schema": {"_id": {"type": "string"}, **FIELDS},
        "item_url": 'regex("k[0-9]{5}")',
        "item_methods": ["GET", "PATCH"],
    }


app = Eve(
    settings={
        "MONGO_URI": os.environ["BENCH_MONGODB"],
        # Of a replica set, which means the journal as well.
        "MONGO_WRITE_CONCERN": {"w": "majority"},
        "RESOURCE_METHODS": ["GET", "POST"],
        "ENFORCE_IF_MATCH": False,
        "HATEOAS": False,
        "OPTIMIZE_PAGINATION_FOR_SPEED": True,
        "RENDERERS": ["eve.render.JSONRenderer"],
        "DOMAIN": {"bench": keyed(), "compound": keyed(), "written": {"schema": dict(FIELDS)}},
    }
)
