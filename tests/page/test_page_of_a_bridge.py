"""The page of a bridge without switches: another configuration, alarms, and a bridge that falls silent."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.app.test_evb_rest import CONFIG, DPID, Server, serving
from tests.page.conftest import Open

ANOTHER_PORT = "      3: {name: hv2, role: station, native_vlan: 100}\n"
#: Milliseconds without a sign of life after which a connection counts as lost, and some more.
SILENT = 26_000


@pytest.fixture
def server(private_network: None, tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, "ryu_apps.evb_bridge", "ryu_apps.evb_rest") as server:
        server.await_listening()
        yield server
    assert "Traceback" not in server.log.read_text()


def reload(server: Server, text: str) -> int:
    """Status of a reload of another evbridge.yaml."""
    (server.log.parent / "evbridge.yaml").write_text(text)
    return server.json("/evb/reload", "POST")[0]


def node(page: Page, port: int) -> object:
    return page.locator(f'#picture [data-port="{DPID}:{port}"]')


def test_a_port_that_evbridge_yaml_gets_or_loses_is_so_in_the_picture(server: Server, open_page: Open) -> None:
    page = open_page(server.port)
    page.locator("body").evaluate("body => body.dataset.sameDocument = 'yes'")
    expect(node(page, 1)).to_have_count(1)
    assert reload(server, CONFIG + ANOTHER_PORT) == 200
    expect(node(page, 3)).to_have_count(1)
    expect(page.locator("#legend li")).to_have_count(10)
    assert reload(server, CONFIG) == 200
    expect(node(page, 3)).to_have_count(0)
    assert page.locator("body").get_attribute("data-same-document") == "yes"


def test_an_alarm_is_shown_and_spoken_and_goes_when_its_cause_has_gone(server: Server, open_page: Open) -> None:
    page = open_page(server.port)
    alarm = page.locator("#alarm-list > li", has_text="config.refused")
    expect(alarm).to_have_count(0)
    assert reload(server, CONFIG + "dpss: {}\n") == 409
    expect(alarm).to_be_visible()
    expect(alarm).to_contain_text("unknown key 'dpss'")
    expect(page.locator("#spoken")).to_contain_text("Alarm: ")
    assert reload(server, CONFIG) == 200
    expect(alarm).to_have_count(0)


def test_a_bridge_that_falls_silent_is_noticed(server: Server, open_page: Open) -> None:
    page = open_page(server.port, clock=True)
    expect(page.locator("#connection")).to_have_text("live")
    server.process.send_signal(signal.SIGSTOP)
    try:
        page.clock.fast_forward(SILENT)
        expect(page.locator("#connection")).to_have_text("connection lost")
        expect(page.get_by_role("alert")).to_contain_text("is lost: the bridge does not answer")
    finally:
        server.process.send_signal(signal.SIGCONT)
    expect(page.locator("#connection")).to_have_text("live")
    expect(page.get_by_role("alert")).to_be_hidden()
