"""The documentation's examples: the blocks of a page with curl, run as written, and what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager

from payments.standin.server import Standin
from tests.processes import ROOT, SECRET, Served, environment

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
_block = re.compile(r"^ *(```+|~~~+)[^\n]*\n(.*?)^ *\1 *$", re.MULTILINE | re.DOTALL)
_command = re.compile(r"\bcurl\s")
# Times, generated keys, ids of the stand-in's, tokens: what no two servers say alike.
_CHANGES = (
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"http://127\.0\.0\.1:\d+", "SERVER"),
    (r"\b[0-9a-f]{24}\b", "KEY"),
    (r"\b([a-z_]+)_\d{6}[0-9a-f]{12}\b", r"\1_ID"),
    (r"\bcgx_\w{8}_[\w-]+", "APIKEY"),
    (r"after=[\w%.~-]+", "after=PLACE"),
    (r"expires=\d+", "expires=SECONDS"),
    (r"signature=[0-9a-f]{64}", "signature=SIGNED"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "REQUEST"),
)


def text_of(page):
    return page.read_text(encoding="utf-8")


def blocks(page):
    """What a reader would paste: the page's blocks in which curl is called."""
    return [block for _, block in _block.findall(text_of(page)) if _command.search(block)]


def javascript(page):
    """The page's snippets for browsers."""
    return re.findall(r"^```js\n(.*?)^```", text_of(page), re.MULTILINE | re.DOTALL)


def outside(page):
    """What of a page is in no such block, and mentions curl all the same."""
    rest = _block.sub(lambda found: "" if _command.search(found[2]) else found[0], text_of(page))
    return [line for line in rest.splitlines() if _command.search(line)]


def shown(page):
    """The answers that a page prints after its commands."""
    found = [
        line for block in blocks(page) for line in re.findall(r"^# (.*)$", block, re.MULTILINE)
    ]
    return list(map(masked, found))


def masked(line):
    for pattern, word in _CHANGES:
        line = re.sub(pattern, word, line)
    return line.rstrip()


@contextmanager
def server(directory):
    """A server with the stand-in for Stripe, as the pages have it."""
    standin = Standin(webhook="below")
    standin.state.add_prices()
    served = Served(
        directory / "var",
        STRIPE_SECRET_KEY="sk_test_standin",
        STRIPE_WEBHOOK_SECRET=standin.secret,
        STRIPE_API_BASE=standin.url,
    )
    standin.webhook = f"{served.url}/service/payment/v1/webhook/"
    standin.start()
    served.standin = standin
    try:
        yield served
    finally:
        served.stop()
        standin.stop()


def run(page, served):
    """The page's blocks, one after the other in one shell: what they print, line by line.

    As written, but for where the server is and its key; curl says nothing of its progress.
    """
    script = "\n".join(blocks(page))
    script = script.replace("$(cat var/server_secret)", SECRET)
    script = script.replace("http://127.0.0.1:8000", served.url)
    script = script.replace(".venv/bin/python manage.py", f"{sys.executable} {ROOT}/manage.py")
    script = re.sub(r"\bcurl ", r"curl -s -w '\\n' ", script)
    ran = subprocess.run(
        ["bash", "-c", script],
        cwd=served.data_dir.parent,
        env=environment(
            served.data_dir,
            PORT=str(served.port),
            STRIPE_SECRET_KEY="sk_test_standin",
            STRIPE_WEBHOOK_SECRET=served.standin.secret,
            STRIPE_API_BASE=served.standin.url,
        ),
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = [masked(line) for line in ran.stdout.splitlines() if line.strip()]
    return said, ran.stderr
