"""The chart of docs/performance.md: requests a second of three servers, as SVG."""

from __future__ import annotations

from html import escape
from typing import Any

_WIDTH, _LEFT, _RIGHT, _BAR, _GAP, _GROUP_GAP, _TOP = 780, 260, 70, 15, 3, 15, 74
_COLOURS = ("#0f766e", "#94a3b8", "#d4b483")
_STYLE = (
    "text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#1f2937}"
    ".title{font-size:17px;font-weight:600}.small{font-size:12px;fill:#6b7280}"
    ".ours{font-weight:600}"
)


def drawn(
    figures: dict[str, dict[str, Any]], servers: list[str], titles: dict[str, str], note: str
) -> str:
    """Bars of each server for every workload that all of them have; the first is ours."""
    common = [name for name, found in figures.items() if all(each in found for each in servers)]
    most = max(figures[name][server]["rate"] for name in common for server in servers)
    group = len(servers) * (_BAR + _GAP) + _GROUP_GAP
    height = _TOP + group * len(common) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" role="img">',
        "<title>Requests a second</title>",
        f"<style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{height}" rx="8" fill="#ffffff"/>',
        '<text class="title" x="20" y="32">Requests a second (longer is better)</text>',
        *_legend(servers),
    ]
    for number, name in enumerate(common):
        top = _TOP + number * group
        parts += _group(top, titles[name], [figures[name][each]["rate"] for each in servers], most)
    parts += [f'<text class="small" x="20" y="{height - 14}">{escape(note)}</text>', "</svg>"]
    return "\n".join(parts) + "\n"


def _legend(servers: list[str]) -> list[str]:
    parts, x = [], 20
    for server, colour in zip(servers, _COLOURS, strict=True):
        parts.append(f'<rect x="{x}" y="45" width="11" height="11" rx="2" fill="{colour}"/>')
        parts.append(f'<text x="{x + 17}" y="55">{escape(server)}</text>')
        x += 50 + 8 * len(server)
    return parts


def _group(top: int, title: str, rates: list[float], most: float) -> list[str]:
    middle = top + len(rates) * (_BAR + _GAP) / 2
    parts = [
        f'<text x="{_LEFT - 12}" y="{middle + 3:.0f}" text-anchor="end">{escape(title)}</text>'
    ]
    for number, (rate, colour) in enumerate(zip(rates, _COLOURS, strict=True)):
        y = top + number * (_BAR + _GAP)
        width = max(1, rate / most * (_WIDTH - _LEFT - _RIGHT))
        ours = ' class="ours"' if number == 0 else ""
        parts.append(
            f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>'
            f'<text{ours} x="{_LEFT + width + 6:.1f}" y="{y + 12}">{rate:,.0f}</text>'
        )
    return parts
