"""MongoDB Extended JSON v2, relaxed: strict on the way in, exact on the way out."""

from core.data.encoding.extended import MAX_DEPTH, decode_document, decode_value, is_wrapper
from core.data.encoding.output import dumps
from core.data.encoding.parse import loads

__all__ = ["MAX_DEPTH", "decode_document", "decode_value", "dumps", "is_wrapper", "loads"]
