"""The live page of a cluster on Open vSwitch, whose stations are emulated: what is seen without loading it again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.testbed.emulator import EmulatedStation, StationLoop
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.harness.station import VdptoolMode, VdptoolVsi
from ryu_apps.testbed.short_timers import quick
from ryu_apps.topologies import two_switch
from tests.page.conftest import Open

CHECKOUT = Path(__file__).parents[2]
DPID_1, DPID_2 = "0000000000000001", "0000000000000002"
HV1, HV5 = f"{DPID_1}:1", f"{DPID_2}:1"
VM = VdptoolVsi("52540000-0000-4000-8000-00000000000a", 10, 1, ("100-52:54:00:aa:00:0a",), ip="10.0.100.10")
RESTING = VdptoolVsi("52540000-0000-4000-8000-00000000000b", 1, 1, ("100-52:54:00:aa:00:0b",), ip="10.0.100.11")


@pytest.fixture(scope="module")
def cluster(private_network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    # Where much else runs, stations have been late by more than the usual keep-alive allows, and their VSIs gone.
    fabric = quick(two_switch.fabric(), Timers(rka=23))
    config = dump_config(BridgeConfig(fabric, (str(CHECKOUT / "policies"),), state_dir="state"))
    with closing(StationLoop()) as loop:
        station = partial(EmulatedStation, loop)
        with Cluster(fabric, two_switch.END_SYSTEMS, tmp_path_factory.mktemp("page"), config, station=station) as made:
            ask(made, "hv2", VdptoolMode.ASSOCIATE, RESTING)
            yield made


def ask(cluster: Cluster, hypervisor: str, mode: VdptoolMode, vsi: VdptoolVsi, migrating: bool = False) -> None:
    answer = cluster.hypervisors[hypervisor].station.request(mode, vsi, migrating)
    assert answer.granted, answer.reason


@pytest.fixture
def active_vm(cluster: Cluster) -> Iterator[Cluster]:
    """The VM is active at hv1 when a test begins, and nowhere afterwards."""
    for mode in (VdptoolMode.PREASSOCIATE_RR, VdptoolMode.ASSOCIATE):
        ask(cluster, "hv1", mode, VM)
    yield cluster
    for hypervisor in ("hv1", "hv5"):
        cluster.hypervisors[hypervisor].station.request(VdptoolMode.DEASSOCIATE, VM)
    wait_until(lambda: VM.uuid not in {vsi["vsi"] for vsi in cluster.controller.get("/evb/vsis")}, "no VM", 30)


def dot(page: Page, port: str, stage: str) -> object:
    return page.locator(f'#picture [data-port="{port}"] circle.{stage}')


def test_a_migration_is_seen_from_staged_to_active(active_vm: Cluster, open_page: Open) -> None:
    page = open_page()
    page.locator("body").evaluate("body => body.dataset.sameDocument = 'yes'")
    page.get_by_label("Shown").select_option(label="s2")
    staged, active = page.locator("#flows-staged"), page.locator("#flows-active")
    page.locator("#switch").scroll_into_view_if_needed()
    expect(dot(page, HV1, "active")).to_have_count(1)
    expect(staged).to_have_text("None.")

    ask(active_vm, "hv5", VdptoolMode.PREASSOCIATE_RR, VM, migrating=True)
    expect(dot(page, HV5, "staged")).to_have_count(1)
    expect(page.locator("#picture .moves > .move")).to_have_count(1)
    move = page.locator("#move-list > li").first
    expect(move).to_contain_text("10.0.100.10: hv1 → hv5")
    expect(move.locator(".pill")).to_have_text("staged")
    steps = move.locator(".ladder .words")
    expect(steps.last).to_contain_text("Pre-Associate with RR: success")
    before = steps.count()
    expect(page.locator(f'[data-vsi="{VM.uuid}"] .mark')).to_have_text(["active", "staged"])
    expect(staged.locator(".rule.staged").first).to_be_visible()
    expect(active.locator('.rule:has-text("in_port=1")')).to_have_count(0)

    ask(active_vm, "hv5", VdptoolMode.ASSOCIATE, VM, migrating=True)
    expect(move.locator(".pill")).to_have_text("completed")
    assert move.locator(".ladder .words").count() > before
    expect(dot(page, HV5, "active")).to_have_count(1)
    expect(page.locator(f'#picture [data-port="{HV1}"] circle')).to_have_count(0)
    expect(page.locator(f'[data-vsi="{VM.uuid}"] .mark')).to_have_text(["active"])
    expect(staged).to_have_text("None.")
    expect(active.locator('.rule:has-text("in_port=1")').first).to_be_visible()
    reserved = page.get_by_role("meter", name="rules", exact=True)
    (at_s2,) = active_vm.controller.get("/evb/reservations?switch=2")
    expect(reserved).to_have_attribute("aria-valuenow", str(at_s2["used"]))
    assert at_s2["used"] > 0
    assert page.locator("body").get_attribute("data-same-document") == "yes"


def test_a_restart_of_the_controller_is_said_and_got_over(active_vm: Cluster, open_page: Open) -> None:
    page = open_page()
    page.locator("body").evaluate("body => body.dataset.sameDocument = 'yes'")
    expect(page.locator("#connection")).to_have_text("live")
    active_vm.controller.kill()
    expect(page.locator("#connection")).to_have_text("connection lost")
    expect(page.get_by_role("alert")).to_contain_text("The connection to the bridge is lost")
    active_vm.controller.start()
    active_vm.controller.wait_connected(2)
    active_vm.controller.wait_agreed(8)
    expect(page.locator("#connection")).to_have_text("live")
    expect(page.get_by_role("alert")).to_be_hidden()
    ask(active_vm, "hv5", VdptoolMode.PREASSOCIATE_RR, VM, migrating=True)
    expect(page.locator(f'[data-vsi="{VM.uuid}"] .mark')).to_have_text(["active", "staged"])
    assert page.locator("body").get_attribute("data-same-document") == "yes"


def test_a_vsi_is_found_by_address_name_and_place(active_vm: Cluster, open_page: Open) -> None:
    page = open_page()
    found = page.locator("#vsi-list > li")
    for words in ("10.0.100.10", "52:54:00:AA:00:0A", "525400aa000a", "00000000000a", "hv1 10/1"):
        page.get_by_role("searchbox").fill("")
        expect(found).to_have_count(2)
        page.get_by_role("searchbox").fill(words)
        expect(found).to_have_count(1)
        expect(found).to_have_attribute("data-vsi", VM.uuid)
        expect(page.locator("#found")).to_have_text("1 VSI")


def test_the_keyboard_does_all(active_vm: Cluster, open_page: Open) -> None:
    page = open_page()
    press = page.keyboard.press
    press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    reach(page, "#query")
    page.keyboard.type("10.0.100.10")
    expect(page.locator("#vsi-list > li")).to_have_count(1)
    reach(page, "#vsi-list summary")
    press("Enter")
    expect(page.get_by_role("heading", name="hv1: active")).to_be_visible()
    reach(page, "[data-action=deassociate]")
    press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(f"De-associate 10.0.100.10 ({VM.uuid})")
    press("Escape")
    expect(dialog).to_be_hidden()
    assert VM.uuid in {vsi["vsi"] for vsi in active_vm.controller.get("/evb/vsis")}
    expect(page.locator("[data-action=deassociate]")).to_be_focused()
    press("Enter")
    reach(page, "#question-yes")
    press("Enter")
    expect(page.locator("#vsi-list > li")).to_have_count(0)
    assert VM.uuid not in {vsi["vsi"] for vsi in active_vm.controller.get("/evb/vsis")}


def reach(page: Page, selector: str) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.locator(f"{selector}:focus").count():
            return
    pytest.fail(f"the focus does not come to {selector}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_hidden_from_weak_eyes_or_a_screen_reader(active_vm: Cluster, open_page: Open, scheme: str) -> None:
    ask(active_vm, "hv5", VdptoolMode.PREASSOCIATE_RR, VM, migrating=True)
    # axe is no file of the bridge, so the policy of the page refuses it.
    page = open_page(color_scheme=scheme, reduced_motion="reduce", bypass_csp=True)
    page.locator(f'[data-vsi="{VM.uuid}"] summary').click()
    page.locator("#switch").scroll_into_view_if_needed()
    expect(page.locator("#flows-active .rule").first).to_be_visible()
    ground = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
    assert (sum(map(int, ground.removeprefix("rgb(").rstrip(")").split(","))) < 384) is (scheme == "dark")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    names = {"Cluster", "Migrations", "VSIs", "Switch"}
    assert {name for name in names if page.get_by_role("region", name=name, exact=True).count() == 1} == names
    for role in ("banner", "navigation", "main", "search"):
        expect(page.get_by_role(role)).to_have_count(1)


def test_the_page_fits_a_telephone(active_vm: Cluster, open_page: Open) -> None:
    ask(active_vm, "hv5", VdptoolMode.PREASSOCIATE_RR, VM, migrating=True)
    page = open_page(viewport={"width": 390, "height": 844})
    for summary in page.locator("main summary").all():
        if summary.is_visible():
            summary.click()
    page.locator("#switch").scroll_into_view_if_needed()
    expect(page.locator("#flows-active .rule").first).to_be_visible()
    width = page.locator("html").evaluate("html => [html.scrollWidth, document.body.scrollWidth]")
    assert width == [390, 390]
    # The whole cluster is in the picture, and every symbol is explained.
    assert page.locator("#picture").evaluate("place => place.scrollWidth - place.clientWidth") == 0
    expect(page.locator("#legend li")).to_have_count(10)
    wide = "nodes => nodes.filter(n => n.getBoundingClientRect().right > 391 && !n.closest('#picture, .skip')).length"
    assert page.locator("main *").evaluate_all(wide) == 0
