"""Debian's Chromium in a network of its own, and pages in it that may not complain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from ryu_apps.testbed.harness.sandbox import inside

CHROMIUM = "/usr/bin/chromium"
#: Milliseconds for what a page shows by itself; a busy machine has been seen to take 30 s to load it.
PATIENCE = 120_000
#: Complaints of the browser about a server that does not answer, or refuses as it should.
NETWORK = "Failed to load resource"

Open = Callable[..., Page]


@pytest.fixture(scope="module", autouse=True)
def private_network() -> Iterator[None]:
    with inside():
        yield


@pytest.fixture(scope="module")
def browser(private_network: None) -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        # As root, in namespaces of the test's own; the sandbox of Chromium wants another user.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens the page of a port in a context of its own; at the end nothing may have been complained of."""
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(NETWORK):
            complaints.append(message.text)

    with ExitStack() as stack:

        def opened(port: int = 8080, *, loaded: bool = True, clock: bool = False, **options: object) -> Page:
            context = browser.new_context(**options)  # type: ignore[arg-type]
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(PATIENCE)
            if clock:
                # Time goes on as usual, and may be put forward.
                page.clock.install()
            page.on("console", listen)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
            page.goto(f"http://127.0.0.1:{port}/")
            if loaded:
                page.wait_for_selector("body[data-loaded]")
            return page

        yield opened
    assert complaints == []
