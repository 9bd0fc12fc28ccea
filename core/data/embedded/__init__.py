"""A real mongod of the project's own, for development, tests and single machines.

A one-node replica set on a unix socket, without a TCP port. All processes that use one data
directory share one server: whoever comes first starts it, whoever goes last stops it.
"""

from core.data.embedded.claims import attach, release, supervise
from core.data.embedded.server import EmbeddedError

__all__ = ["EmbeddedError", "attach", "release", "supervise"]
