"""System checks: settings that no server should start with, and those that deserve a second look.

`manage.py serve` runs them and does not start on an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004

LEAST_SECRET, LEAST_DISTINCT = 16, 6
LEAST_SIGNING_KEY = 32
_EXAMPLES = ("changeme", "change-me", "secret", "password", "example", "insecure")
# As django-ratelimit writes them; it takes what it does not know for seconds.
_rate = re.compile(r"[1-9][0-9]*/[0-9]*[smhd]").fullmatch
_RATES = (
    "COGLEX_RATE_API_KEY",
    "COGLEX_RATE_SIGNUP_ADDRESS",
    "COGLEX_RATE_SIGNIN_ADDRESS",
    "COGLEX_RATE_SIGNIN_KEY",
)
_MAKE_ONE = "Make one: python3 -c 'import secrets; print(secrets.token_urlsafe(36))'"


@register
def check_secrets(**_: Any) -> list[CheckMessage]:
    """The signing key and the bootstrap API key: long, random, different, and not to be read."""
    return [*_weak_secrets(), *_open_files()]


def _weak_secrets() -> Iterator[CheckMessage]:
    key, secret = settings.SECRET_KEY, settings.SERVER_SECRET
    if len(key) < LEAST_SIGNING_KEY or _is_guessable(key):
        yield Error("DJANGO_SECRET_KEY can be guessed.", hint=_MAKE_ONE, id="core.E001")
    if len(secret) < LEAST_SECRET or _is_guessable(secret):
        yield Error("SERVER_SECRET can be guessed.", hint=_MAKE_ONE, id="core.E002")
    if key == secret:
        text = "SERVER_SECRET and DJANGO_SECRET_KEY are the same."
        yield Error(text, hint=_MAKE_ONE, id="core.E003")


def _is_guessable(secret: str) -> bool:
    return len(set(secret)) < LEAST_DISTINCT or secret.lower().startswith(_EXAMPLES)


def _open_files() -> Iterator[CheckMessage]:
    for path in settings.SECRET_FILES:
        if path.stat().st_mode & 0o007:
            text = f"Everybody on this machine can read {path}, which holds a secret."
            yield Error(text, hint=f"chmod 600 {path}", id="core.E004")


@register
def check_reach(**_: Any) -> list[CheckMessage]:
    """Whom the server answers, and by which names."""
    found: list[CheckMessage] = []
    local = _is_loopback(settings.HOST)
    if settings.DEBUG and not local:
        text = f"Debug mode is on, and {settings.HOST} can be reached from other machines."
        hint = "Unset DJANGO_DEBUG, or set HOST to 127.0.0.1."
        found.append(Error(text, hint=hint, id="core.E005"))
    if "*" in settings.ALLOWED_HOSTS:
        hint = "Name the hosts that this server answers for, such as api.example.com."
        found.append(Error("DJANGO_ALLOWED_HOSTS allows any.", hint=hint, id="core.E006"))
    if not local and not settings.HTTPS and not settings.DEBUG:
        text = f"{settings.HOST} can be reached from other machines, without https."
        hint = "Let a proxy serve https in front, and set COGLEX_HTTPS=on: see docs/deployment.md."
        found.append(Warning(text, hint=hint, id="core.W001"))
    if settings.HTTPS and urlsplit(settings.COGLEX_PUBLIC_URL).scheme != "https":
        text = "COGLEX_HTTPS is on, and links to files would begin with http."
        hint = "Set COGLEX_PUBLIC_URL to the https address that clients know."
        found.append(Warning(text, hint=hint, id="core.W002"))
    return found


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


@register
def check_trust(**_: Any) -> list[CheckMessage]:
    """Proxies, origins and databases that are trusted."""
    found: list[CheckMessage] = []
    for proxy in settings.COGLEX_TRUSTED_PROXIES:
        if proxy != "unix" and (fault := _fault_of_network(proxy)):
            text = f"{proxy} in COGLEX_TRUSTED_PROXIES {fault}."
            hint = "Name your proxies' own addresses or networks."
            found.append(Error(text, hint=hint, id="core.E007"))
    for origin in settings.CORS_ALLOWED_ORIGINS:
        parts = urlsplit(origin)
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path:
            text = f"{origin} in COGLEX_CORS_ORIGINS is no origin."
            hint = "Write origins such as https://shop.example.com; there is no way to allow all."
            found.append(Error(text, hint=hint, id="core.E008"))
    if _sends_password_in_clear(settings.MONGODB_URI or ""):
        text = "MONGODB_URI sends documents to another machine without TLS."
        found.append(Warning(text, hint="Add tls=true to it.", id="core.W003"))
    return found


def _fault_of_network(text: str) -> str:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return "is no address or network"
    return "trusts everybody" if network.prefixlen == 0 else ""


def _sends_password_in_clear(uri: str) -> bool:
    parts = urlsplit(uri)
    hosts = [host.rpartition("@")[2] for host in parts.netloc.split(",")]
    away = any(not _is_loopback(host.rsplit(":", 1)[0]) and "%2F" not in host for host in hosts)
    secured = parts.scheme == "mongodb+srv" or {"tls=true", "ssl=true"} & {*parts.query.split("&")}
    return bool(uri) and away and not secured


@register
def check_rates(**_: Any) -> list[CheckMessage]:
    """Rate limits that django-ratelimit understands."""
    found: list[CheckMessage] = []
    for name in _RATES:
        rate = getattr(settings, name)
        if rate is not None and not _rate(rate):
            text = f"{name} is no rate: {rate!r}."
            hint = "Write 20/m, 1000/h or 5/10s."
            found.append(Error(text, hint=hint, id="core.E009"))
    return found
