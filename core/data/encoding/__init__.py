"""MongoDB Extended JSON v2, relaxed: strict on the way in, exact on the way out."""

from core.data.encoding.exact import dumps_exact, loads_exact
from core.data.encoding.extended import MAX_DEPTH, decode_document, decode_value, is_wrapper
from core.data.encoding.output import dumps
from core.data.encoding.parse import loads

__all__ = [
    "MAX_DEPTH",
    "decode_document",
    "decode_value",
    "dumps",
    "dumps_exact",
    "is_wrapper",
    "loads",
    "loads_exact",
]
