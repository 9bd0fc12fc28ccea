"""Structured logs: one line a record, JSON or readable, never a secret, nothing to inject into.

Named in settings. Code logs through ``structlog.get_logger``; records of Django and the server
come by the standard library and pass the same steps.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import orjson
import structlog

Event = MutableMapping[str, Any]
Render = Callable[[Any, str, Event], bytes]

MASK = "[masked]"
_secret_name = re.compile(
    r"pass(word|wd)?$|passphrase|secret|token|authorization|cookie|api_?-?key$|digest|credential",
    re.IGNORECASE,
).search
_secret_value = re.compile(
    r"(cgx_[a-z0-9]{8}_)[A-Za-z0-9_-]+|((?:sk|rk|whsec)_(?:live_|test_)?)[A-Za-z0-9]{8,}"
    r"|(mongodb(?:\+srv)?://[^:/@\s]+:)[^@\s]+(?=@)"
)
_control = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def logging_config(*, level: str, form: str) -> dict[str, Any]:
    """Django's LOGGING for a level (``INFO``) and a form (``json``, ``console`` or ``auto``)."""
    return {"level": level, "form": form}


def configure_logging(config: Mapping[str, Any]) -> None:
    """Set up structlog and the standard library; ``auto`` is readable on a terminal, else JSON."""
    form = config["form"]
    readable = form == "console" or (form == "auto" and sys.stderr.isatty())
    level = getattr(logging, config["level"], logging.INFO)
    render = _render_line if readable else _render_json
    _access.render = render if level <= logging.INFO else None
    structlog.configure(
        processors=[
            _add_context,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            mask_secrets,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_StderrFactory(),
        cache_logger_on_first_use=True,
    )
    _configure_standard(level, render)


def _configure_standard(level: int, render: Render) -> None:
    handler = _StructlogHandler()
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level)
    # The driver's debug records hold commands with their data, and Django's 4xx warnings repeat
    # what the access log says.
    for name in ("pymongo", "urllib3", "stripe", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("django.request").setLevel(logging.ERROR)
    logging.getLogger("django.server").propagate = True
    logging.captureWarnings(capture=True)


_NOTHING: Mapping[str, Any] = MappingProxyType({})
_context: ContextVar[Mapping[str, Any]] = ContextVar("coglex_log_context", default=_NOTHING)


def context() -> Mapping[str, Any]:
    """What every line of this request has: ``request_id``, ``address``, ``user_agent``, …"""
    return _context.get()


def set_context(fields: Mapping[str, Any]) -> None:
    """Let every line from here on have these fields, and no others of an earlier call."""
    _context.set(fields)


def _add_context(logger: object, method: str, event: Event) -> Event:
    return {**_context.get(), **event}


class _Access:
    """The line of each request, on the shortest way: only what clients send can hold a secret."""

    render: Render | None = None

    def write(self, **fields: Any) -> None:
        if self.render is None:
            return
        given = _context.get()
        event = {
            **fields,
            "event": "request",
            **given,
            **{
                name: _secret_value.sub(_keep_prefix, given[name])
                for name in ("request_id", "user_agent")
                if given.get(name)
            },
            "level": "info",
            "timestamp": datetime.now(UTC).isoformat(timespec="microseconds")[:-6] + "Z",
        }
        _stderr.msg(self.render(None, "info", event))


_access = _Access()
write_access = _access.write


class _Stderr:
    """A structlog logger that writes whole lines of bytes."""

    def msg(self, line: bytes) -> None:
        sys.stderr.buffer.write(line + b"\n")
        sys.stderr.buffer.flush()

    log = debug = info = warn = warning = error = critical = exception = fatal = msg


_stderr = _Stderr()


class _StderrFactory:
    def __call__(self, *args: Any) -> _Stderr:
        return _stderr


class _StructlogHandler(logging.Handler):
    """Takes the standard library's records into structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            structlog.get_logger(record.name).log(
                record.levelno,
                record.getMessage(),
                logger=record.name,
                exc_info=record.exc_info,
            )
        except Exception:  # noqa: BLE001 - a log record must not break what it tells of
            self.handleError(record)


def mask_secrets(logger: object, method: str, event: Event) -> Event:
    """Replace values whose name or form is that of a secret, at any depth."""
    return {name: _masked(name, value) for name, value in event.items()}


def _masked(name: str, value: Any) -> Any:
    if value is not None and _secret_name(name):
        return MASK
    if isinstance(value, str):
        return _secret_value.sub(_keep_prefix, value)
    if isinstance(value, Mapping):
        return {str(key): _masked(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked("", item) for item in value]
    return value


def _keep_prefix(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group) + MASK


def _render_json(logger: object, method: str, event: Event) -> bytes:
    line = orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS)
    # Line separators that JSON leaves alone, and some readers do not.
    return line.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")


def _render_line(logger: object, method: str, event: Event) -> bytes:
    """``time level event name=value …``; what could break or colour a line is escaped."""
    time, level, name = event.pop("timestamp"), event.pop("level"), event.pop("event")
    trace = event.pop("exception", None)
    parts = [f"{time[11:23]} {level:<8} {_plain(name)}"]
    parts += [f"{key}={_plain(value)}" for key, value in event.items() if value is not None]
    if trace:
        parts += ["\n    " + _plain(line) for line in str(trace).splitlines()]
    return " ".join(parts).encode("utf-8", "backslashreplace")


def _plain(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return _control.sub(lambda match: f"\\x{ord(match.group()):02x}", text)
