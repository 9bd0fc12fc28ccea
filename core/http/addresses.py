"""Where a request comes from, when proxies may stand between; used for limits and the audit."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

UNIX = "unix"


def client_address(request: HttpRequest) -> str:
    """The client's address: the peer's, or what trusted proxies say of theirs.

    ``X-Forwarded-For`` counts only when the peer is one of settings.COGLEX_TRUSTED_PROXIES
    (addresses, networks, or ``unix`` for a peer on a unix socket). It is read from its end, over
    proxies that are trusted too; what is no address ends the walk.
    """
    peer = request.META.get("REMOTE_ADDR") or UNIX
    if not settings.COGLEX_TRUSTED_PROXIES or not _is_trusted(peer):
        return peer
    address = peer
    for entry in reversed(request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        hop = _address(entry.strip())
        if hop is None:
            break
        address = hop
        if not _is_trusted(hop):
            break
    return address


def network_of(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 that an IPv6 client is given."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return address if parsed.version == 4 else str(ip_network(f"{parsed}/64", strict=False))


def _address(text: str) -> str | None:
    """An address without its brackets and port, or None."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return None


def _is_trusted(address: str) -> bool:
    networks, unix = _trusted(tuple(settings.COGLEX_TRUSTED_PROXIES))
    if address == UNIX:
        return unix
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)


@lru_cache(maxsize=8)
def _trusted(entries: tuple[str, ...]) -> tuple[list[IPv4Network | IPv6Network], bool]:
    networks = [ip_network(entry, strict=False) for entry in entries if entry != UNIX]
    return networks, UNIX in entries
