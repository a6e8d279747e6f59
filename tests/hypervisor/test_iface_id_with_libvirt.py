"""`virsh migrate` of a guest whose tap is named by libvirt, and found by its ``iface-id`` in each server's OVSDB."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.hypervisors.domain import Guest
from ryu_apps.testbed.hypervisors.guest_image import ECHO, SOURCE, build_image
from ryu_apps.testbed.hypervisors.guest_site import LONG
from ryu_apps.testbed.hypervisors.guest_stream import GuestStream
from ryu_apps.testbed.hypervisors.iface_id_site import LIBVIRTS_OWN, IfaceIdSite

pytestmark = [pytest.mark.privileged, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
GUEST = Guest("vm1", "77777777-2222-4333-8444-000000000001", "52:54:00:ff:00:01", "10.0.100.11", 10, 1)


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IfaceIdSite]:
    folder = tmp_path_factory.mktemp("servers")
    image = build_image(Path(os.environ["EVBRIDGE_GUEST_KERNEL"]), tmp_path_factory.mktemp("image"))
    with inside(), IfaceIdSite(folder, [ROOT / "policies"], image) as site:
        yield site


def attachments(site: IfaceIdSite) -> dict[str, dict[str, Any]]:
    """The attachments of the guest's VSI by the host at whose port they are."""
    return {found["name"]: found for found in site.controller.get(f"/evb/vsis/{GUEST.uuid}")["attachments"]}


def interface(site: IfaceIdSite, host: str) -> str:
    """The name that libvirt has given to the guest's interface."""
    lines = site.libvirtds[host].virsh("domiflist", GUEST.name).splitlines()
    return next(line.split()[0] for line in lines if GUEST.mac in line)


def assert_found(site: IfaceIdSite, host: str) -> None:
    """The port that has the VSI is the one that libvirt has made."""
    port = attachments(site)[host]["vsi_port"]
    assert (port["name"], port["port_no"] is None) == (interface(site, host), False)
    assert port["name"].startswith(LIBVIRTS_OWN)
    (listed,) = site.station(host).status()["vsis"]
    assert (listed["state"], listed["port"]) == ("associated", port["name"])


def test_a_guest_whose_tap_libvirt_names_moves_there_and_back(site: IfaceIdSite) -> None:
    before, client = site.tables(), site.cluster.hosts["client"].namespace
    site.boot(GUEST, "hv1")
    site.wait_there(GUEST, "hv1")
    assert_found(site, "hv1")
    with GuestStream(client, GUEST.ip, ECHO) as echo, GuestStream(client, GUEST.ip, SOURCE) as source:
        for here, there in (("hv1", "hv2"), ("hv2", "hv1")):
            with site.slow_migration(GUEST, here, there) as virsh:
                reserved = attachments(site)[there]
                assert (reserved["phase"], reserved["vsi_port"]["port_no"]) == ("staged", None), "no name, no gate"
                for stream in (echo, source):
                    stream.wait_heard("while its memory is copied")
                written = site.finish(GUEST, here, virsh)
            assert "error" not in written, written
            site.wait_there(GUEST, there)
            assert_found(site, there)
            assert site.station(here).status()["vsis"] == []
            for stream in (echo, source):
                stream.wait_heard(f"after the move to {there}")
    site.destroy(GUEST)
    wait_until(lambda: site.tables() == before, "flow tables as before the test", LONG)
