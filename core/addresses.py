"""The address under which this server can be reached from its own machine."""

from __future__ import annotations


def address(host: str, port: int) -> str:
    """``http://127.0.0.1:8000``; for a host that means all addresses, the loopback's."""
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - the operator's choice, not a default
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
