"""The page at a standby: two bridges with one store, whose leader is killed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import expect

from ryu_apps.testbed.harness.ovsdb_cluster import OvsdbCluster
from tests.app.test_evb_rest import free_port
from tests.app.test_shared_store import answers, ask, leads
from tests.app.test_starting import LAUNCHERS, Start, started
from tests.interop.private_ovs import wait_for
from tests.page.conftest import Open

CONFIG = """\
version: 1
store: {{remotes: ["{remote}"]}}
cluster: {{name: {name}, address: "http://127.0.0.1:{port}/", patience: 5.0}}
dps: {{s1: {{dp_id: 1, interfaces: {{1: {{name: hv1, role: station, native_vlan: 100}}}}}}}}
"""


@pytest.fixture
def members(private_network: None, tmp_path: Path) -> Iterator[list[Start]]:
    """Two bridges, the leader first."""
    with tempfile.TemporaryDirectory(prefix="ovsdb-") as place, ExitStack() as stack:
        servers = stack.enter_context(OvsdbCluster(Path(place), size=1))
        found = []
        for name in ("c1", "c2"):
            folder, ports = tmp_path / name, (free_port(), free_port())
            folder.mkdir()
            text = CONFIG.format(remote=servers.remotes[0], name=name, port=ports[1])
            (folder / "evbridge.yaml").write_text(text)
            found.append(started(stack, LAUNCHERS["evbridge"], folder, ports=ports))
            wait_for(lambda: answers(found[-1]), name)
            wait_for(lambda: leads(found[0]), "leader")
        yield found


def test_a_standby_names_its_leader_and_goes_on_when_it_takes_the_lead(members: list[Start], open_page: Open) -> None:
    leader, standby = members
    wait_for(lambda: ask(standby, "/evb/status")["cluster"]["leader"] == "c1", "standby that knows its leader")
    page = open_page(standby.rest)
    banner = page.get_by_role("alert")
    expect(banner).to_contain_text("c2 stands by: c1 leads.")
    expect(banner.get_by_role("link")).to_have_attribute("href", f"http://127.0.0.1:{leader.rest}/")
    # Its own answers: the cluster as a picture, and the VSIs as saved.
    expect(page.locator("#picture .station").first).to_be_visible()
    expect(page.locator("#found")).to_have_text("0 VSIs")
    page.locator("body").evaluate("body => body.dataset.sameDocument = 'yes'")
    leader.end()
    expect(banner).to_be_hidden()
    expect(page.locator("#connection")).to_have_text("live")
    assert leads(standby)
    assert page.locator("body").get_attribute("data-same-document") == "yes"
