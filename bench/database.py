"""One MongoDB for all servers: the embedded one's binary and options, listening on TCP as well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.data.embedded.server import Server
from tests.processes import free_port


@dataclass(frozen=True)
class Shared(Server):
    """As the embedded one, and also on a port of this machine."""

    port: int = 0

    @property
    def address(self) -> str:
        """For every server alike: writes are acknowledged when they are in the journal."""
        options = "directConnection=true&w=majority&journal=true"
        return f"mongodb://127.0.0.1:{self.port}/?{options}"

    @property
    def pid(self) -> int:
        return int((self.root / "mongod.pid").read_text())

    def _options(self) -> list[str]:
        options = super()._options()
        options[options.index("--bind_ip") + 1] += ",127.0.0.1"
        return [*options, "--port", str(self.port)]


@contextmanager
def shared(directory: Path) -> Iterator[Shared]:
    """It, started below a directory, until the end of the block."""
    server = Shared(directory / "mongodb", port=free_port())
    server.root.mkdir(parents=True)
    server.start()
    try:
        yield server
    finally:
        server.stop()
