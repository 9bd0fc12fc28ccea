"""The admin as operators use it: a real server, a real browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from payments.standin.server import Standin
from tests.processes import ROOT, Served, environment, eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed"),
]

# Set to make the pictures of the documentation anew.
PICTURES = os.environ.get("COGLEX_TEST_PICTURES")
PAGES = [
    "/admin/",
    "/admin/core/",
    "/admin/core/apikey/",
    "/admin/core/apikey/add/",
    "/admin/core/auditentry/",
    "/admin/accounts/user/",
    "/admin/storage/collection/",
    "/admin/storage/collection/products/",
    "/admin/storage/collection/products/indexes/",
    "/admin/storage/collection/products/new/",
    "/admin/storage/collection/products/documents/tea/",
    "/admin/archive/file/",
    "/admin/payments/event/",
    "/admin/payments/subscription/",
    "/admin/auth/user/",
    "/admin/auth/group/",
    "/docs/",
]
# The pages that the documentation shows, with the demo's data; each has this many rows at least.
SHOWN = {
    "overview": ("/admin/", 0),
    "collection": ("/admin/storage/collection/shop_orders/", 50),
    "users": ("/admin/accounts/user/?collection=shop_customers", 20),
    "files": ("/admin/archive/file/", 8),
    "events": ("/admin/payments/event/", 20),
    "audit": ("/admin/core/auditentry/?action=auth.signin", 20),
}
PHONE = {"width": 390, "height": 800}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    standin = Standin(webhook="below")
    standin.state.add_prices()
    settings = {
        "STRIPE_SECRET_KEY": "sk_test_standin",
        "STRIPE_WEBHOOK_SECRET": standin.secret,
        "STRIPE_API_BASE": standin.url,
        "COGLEX_BCRYPT_ROUNDS": "4",
    }
    made = Served(tmp_path_factory.mktemp("browser") / "var", **settings)
    standin.webhook = f"{made.url}/service/payment/v1/webhook/"
    made.standin = standin
    standin.start()
    fill(made)
    subprocess.run(
        [sys.executable, "manage.py", "demo", "load"],
        cwd=ROOT,
        env=environment(made.data_dir, **settings),
        check=True,
    )
    yield made
    made.stop()
    standin.stop()


def fill(served):
    """Something to see on every page."""
    products = [
        {"_id": "tea", "name": "Darjeeling", "price": 4.5, "tags": ["black"]},
        {"_id": "cup", "name": "Cup", "price": 12, "tags": []},
    ]
    served.http.post(f"{served.storage}/products/", json=products).raise_for_status()
    sign_up(served, "ada@example.com")
    form = {"file": ("prices.csv", b"tea,4.5\n", "text/csv")}
    served.http.post(f"{served.url}/service/archive/v1/upload/", files=form).raise_for_status()


def sign_up(served, key):
    auth = f"{served.url}/service/auth/v1"
    who = {"_key": key, "_password": "seven tall mountains"}
    served.http.post(f"{auth}/signup/customers/", json={**who, "document": {}}).raise_for_status()
    answer = served.http.post(f"{auth}/signin/customers/", json=who)
    return answer.headers["X-Session-Token"]


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        yield running.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )


@pytest.fixture(scope="module")
def context(served, browser):
    """An operator who is signed in."""
    made = browser.new_context(viewport={"width": 1280, "height": 800})
    page = made.new_page()
    page.goto(f"{served.url}/admin/")
    password = re.search(r"password (\S+)", served.output.read_text())[1]
    page.fill("#id_username", "admin")
    page.fill("#id_password", password)
    page.click("input[type=submit]")
    page.wait_for_selector(".overview")
    page.close()
    return made


@pytest.fixture
def page(context):
    """A page whose console must stay empty."""
    made = context.new_page()
    told = []
    made.on("console", lambda message: told.append(message.text))
    made.on("pageerror", lambda error: told.append(str(error)))
    made.on("requestfailed", lambda request: told.append(request.url))
    yield made
    made.close()
    assert told == []


@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens_without_a_word_in_the_console(served, page, path):
    answer = page.goto(served.url + path, wait_until="networkidle")
    assert answer.status == 200


@pytest.mark.parametrize("name", SHOWN)
def test_the_pages_that_the_documentation_shows_are_full(served, page, name):
    path, rows = SHOWN[name]
    page.goto(served.url + path, wait_until="networkidle")
    assert page.locator(".results tbody tr").count() >= rows
    picture(page, name)


def picture(page, name):
    """Keep a picture for the documentation, where that was asked for."""
    if PICTURES:
        page.set_viewport_size({"width": 1140, "height": 620})
        page.screenshot(path=Path(PICTURES) / f"{name}.png")


@pytest.mark.parametrize("path", [*PAGES[:-1], *(path for path, _ in SHOWN.values())])
def test_every_page_fits_on_a_phone_in_the_dark(served, page, path):
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme="dark")
    page.goto(served.url + path, wait_until="networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    light = "e => getComputedStyle(e).backgroundColor"
    shade = [int(part) for part in re.findall(r"\d+", page.eval_on_selector("body", light))[:3]]
    assert sum(shade) < 150


def test_a_long_word_breaks_and_a_button_does_not(served, page):
    key = "k" * 128
    served.http.put(f"{served.storage}/wide/{key}/", json={"w": "w" * 3000, "n": 1})
    page.goto(f"{served.url}/admin/storage/collection/wide/")
    table = page.locator(".results")
    assert table.evaluate("e => e.scrollWidth - e.clientWidth") == 0
    page.goto(f"{served.url}/admin/storage/collection/shop_orders/indexes/")
    assert {button.bounding_box()["height"] for button in page.locator(".does .button").all()} == {
        24
    }


def test_the_pages_of_the_list_are_all_there_are(served, page):
    """No page of the admin's navigation is left out above."""
    page.goto(f"{served.url}/admin/")
    found = page.eval_on_selector_all(
        "#content-main a", "all => all.map(each => new URL(each.href).pathname)"
    )
    assert found
    assert {each for each in found if not each.endswith("/add/")} <= {*PAGES} | {
        f"/admin/{app}/" for app in ("accounts", "archive", "auth", "payments", "storage")
    }


def test_a_key_is_made_shown_once_and_works(served, page):
    page.goto(f"{served.url}/admin/core/apikey/add/")
    page.fill("#id_name", "web shop")
    page.fill("#id_scopes", "storage/products:read")
    page.click("input[name=_save]")
    key = re.search(r"cgx_[\w-]+", page.inner_text(".messagelist"))[0]
    headers = {"X-API-Key": key}
    assert httpx.get(f"{served.storage}/products/tea/", headers=headers).status_code == 200
    assert httpx.delete(f"{served.storage}/products/tea/", headers=headers).status_code == 403
    page.reload()
    assert key not in page.content()


def test_a_document_is_edited_while_another_changes_it(served, page):
    place = f"{served.storage}/products/cup/"
    page.goto(f"{served.url}/admin/storage/collection/products/")
    page.click("text=cup")
    editor = page.locator("textarea[name=document]")
    editor.fill('{"name": ')
    assert "JSON" in page.inner_text(".syntax.fault")
    editor.fill('{"name": "Cup", "price": 13}')
    assert page.inner_text(".syntax") == "Valid JSON."
    served.http.patch(place, json={"$inc": {"stock": 5}}).raise_for_status()
    with page.expect_response(lambda answer: answer.request.method == "POST") as sent:
        # The browser tells of every 409 in the console, which the fixture would not have.
        page.route("**/*", _without_status)
        page.click("button[value=save]")
    assert sent.value.status == 200
    page.unroute("**/*")
    assert "Somebody changed this document meanwhile" in page.inner_text(".messagelist")
    assert '"stock": 5' in page.inner_text(".stored")
    assert editor.input_value() == '{"name": "Cup", "price": 13}'
    picture(page, "conflict")
    editor.fill('{"name": "Cup", "price": 13, "stock": 5}')
    page.click("button[value=save]")
    assert "Saved." in page.inner_text(".messagelist")
    assert served.http.get(place).json() == {"_id": "cup", "name": "Cup", "price": 13, "stock": 5}


def _without_status(route):
    if route.request.method != "POST":
        # What the page still loads.
        route.continue_()
        return
    answer = route.fetch()
    assert answer.status == 409
    route.fulfill(response=answer, status=200)


def test_the_sessions_of_a_user_are_ended(served, page):
    token = sign_up(served, "bob@example.com")
    session = f"{served.url}/service/auth/v1/session/customers/"
    headers = {"X-Session-Token": token}
    assert served.http.get(session, headers=headers).status_code == 200
    page.goto(f"{served.url}/admin/accounts/user/?collection=customers&q=bob")
    page.click("text=bob@example.com")
    page.click("text=End all sessions")
    assert "Ended 1 sessions" in page.inner_text(".messagelist")
    assert served.http.get(session, headers=headers).status_code == 401


def test_an_event_is_retried(served, page):
    """Stripe does not answer when it is processed, and does when the operator says again."""
    standin = served.standin
    standin.fail("500", times=1000, path="/v1/customers/")
    customer = standin.state.create_customer({"email": "carl@example.com"})
    events = f"{served.url}/admin/payments/event/"

    def failed():
        page.goto(f"{events}?state=failed&type=customer.created")
        return page.locator(".results td a").count() == 1

    eventually(failed, 60)
    page.click(".results td a")
    assert customer["id"] in page.inner_text("table.facts")
    standin.faults.clear()
    page.click("text=Retry now")
    assert "Processed." in page.inner_text(".messagelist")
    assert "processed" in page.inner_text("table.facts")
