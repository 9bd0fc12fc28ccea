"""The compiler of what clients send: filters, projections, sorts, updates, pipelines.

Pure functions from plain JSON values to what the driver takes. Input is parsed against a grammar
of allow-listed operators; whatever is not known is an error with a JSON Pointer to its place
(InvalidQuery, OperatorNotAllowed), and nothing passes through unparsed.
"""

from core.data.compiler.filters import compile_filter
from core.data.compiler.projections import compile_projection, compile_sort
from core.data.compiler.stages import Pipeline, compile_pipeline
from core.data.compiler.updates import Update, compile_update

__all__ = [
    "Pipeline",
    "Update",
    "compile_filter",
    "compile_pipeline",
    "compile_projection",
    "compile_sort",
    "compile_update",
]
