"""What MongoDB this is: its version, topology and clock, for `manage.py doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from core.data.client import client
from core.data.failures import translated
from core.times import aware

Topology = Literal["replica set", "sharded", "standalone"]


@dataclass(frozen=True)
class Server:
    """A MongoDB as it says of itself."""

    version: tuple[int, ...]
    topology: Topology
    time: datetime


def describe_server() -> Server:
    """What the server says of itself; raises DatabaseUnavailable."""
    with translated():
        hello = client().admin.command("hello")
        info = client().server_info()
    topology: Topology = "standalone"
    if hello.get("msg") == "isdbgrid":
        topology = "sharded"
    elif "setName" in hello:
        topology = "replica set"
    return Server(tuple(info["versionArray"][:2]), topology, aware(hello["localTime"]))
