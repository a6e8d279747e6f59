"""The page of 256 nodes with 8,192 VSIs, and one that wants a token: bridges without switches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from ryu_apps.testbed.harness.shell import wait_until
from tests.app.test_evb_rest import CONFIG, Server, serving
from tests.app.test_rest_access import token
from tests.page.conftest import Open
from tests.page.filled import HOSTILE, NODES, VSIS, config, fill

APPS = ("ryu_apps.evb_bridge", "ryu_apps.evb_rest")


@pytest.fixture(scope="module")
def filled(private_network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("filled")
    fill(folder)
    with serving(folder, *APPS, text=config()) as server:
        # It listens when all VSIs are restored.
        wait_until(lambda: server.process.poll() is not None or b"REST on" in server.log.read_bytes(), "REST", 300)
        server.await_listening()
        yield server
    assert "Traceback" not in server.log.read_text()


def test_eight_thousand_vsis_are_loaded_searched_and_not_all_drawn(filled: Server, open_page: Open) -> None:
    begun = time.monotonic()
    page = open_page(filled.port)
    print(
        f"loaded in {page.locator('body').get_attribute('data-loaded')} ms, seen after {time.monotonic() - begun:.1f} s"
    )
    expect(page.locator("#found")).to_have_text(f"20 of {VSIS:,} VSIs shown")
    expect(page.locator("#vsi-list > li")).to_have_count(20)
    expect(page.locator("#picture .station")).to_have_count(NODES)
    assert page.locator("*").count() < 10_000
    # One request has all VSIs, and the one with all about one of them waits until it is opened.
    requests = page.evaluate("() => performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert len([request for request in requests if "/evb/overview" in request]) == 1
    assert not any("/evb/vsis" in request or "/evb/flows" in request for request in requests)
    page.locator("#vsi-list summary").first.click()
    expect(page.locator("#vsi-list dl.facts").nth(1)).to_contain_text("Bindings")
    # Rules, too, have the names of VSIs, although they were read before.
    page.locator("#switch").scroll_into_view_if_needed()
    expect(page.locator("#flows-active .rule").nth(1)).to_contain_text("vm1")
    page.get_by_role("searchbox").fill("52:54:00:00:1f:ff")
    expect(page.locator("#vsi-list > li strong")).to_have_text(["vm8191"])
    page.get_by_role("searchbox").fill("")
    page.locator("#more-vsis").click()
    expect(page.locator("#vsi-list > li")).to_have_count(40)


def test_names_that_stations_choose_stay_text(filled: Server, open_page: Open) -> None:
    page = open_page(filled.port)
    page.get_by_role("searchbox").fill("onerror")
    expect(page.locator("#vsi-list > li strong")).to_have_text([HOSTILE])
    page.locator("#vsi-list summary").click()
    page.get_by_role("button", name="De-associate").click()
    expect(page.get_by_role("dialog")).to_contain_text(HOSTILE)
    assert page.locator("img").count() == 0


def test_a_token_is_asked_for_kept_in_the_tab_and_shows_what_it_allows(tmp_path: Path, open_page: Open) -> None:
    texts = {role: token(tmp_path, "create", f"a-{role}", "--role", role) for role in ("read", "operate", "admin")}
    with serving(tmp_path, *APPS, text=CONFIG.replace("rest: {", "rest: {tokens: tokens, ")) as server:
        server.await_listening()
        page = open_page(server.port, loaded=False)
        dialog = page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        page.locator("#token").fill("evb_wrong")
        page.keyboard.press("Enter")
        expect(dialog.get_by_role("alert")).to_have_text("The bridge does not accept this token.")
        for role, text in texts.items():
            if not dialog.is_visible():
                page.get_by_role("button", name="Token").click()
            page.locator("#token").fill(text)
            page.get_by_role("button", name="Use").click()
            expect(page.get_by_role("button", name=f"Token: a-{role} ({role})")).to_be_visible()
            expect(page.locator("#connection")).to_have_text("live")
            assert page.get_by_role("button", name="Reload policies").is_visible() is (role == "admin")
        kept = page.locator("body").evaluate("() => [localStorage.length, document.cookie, location.href]")
        assert kept == [0, "", f"http://127.0.0.1:{server.port}/"]
        assert page.context.new_page().goto(f"http://127.0.0.1:{server.port}/evb/status").status == 401
