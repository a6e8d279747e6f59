"""`virsh migrate` with ``evbridge station``, its hook and its listener: reserved before the first page is copied."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from ryu_apps.evb.topology.station_treatment import StationKind
from ryu_apps.testbed.flow_dumps import dump_rules
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import end, wait_until
from ryu_apps.testbed.harness.station_daemon import DaemonStation
from ryu_apps.testbed.hypervisors.domain import Guest, domain_for_hook
from ryu_apps.testbed.hypervisors.guest_image import ECHO, SOURCE, build_image
from ryu_apps.testbed.hypervisors.guest_site import LONG
from ryu_apps.testbed.hypervisors.guest_stream import GuestStream
from ryu_apps.testbed.hypervisors.host import HostKind
from ryu_apps.testbed.hypervisors.site import HypervisorSite, fabric
from ryu_apps.testbed.hypervisors.station_hook import hook_text, start_listener

pytestmark = [pytest.mark.privileged, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
#: Host at each switch port, as in events.
HOSTS = {"0000000000000001:1": "hv1", "0000000000000002:1": "hv2"}
_numbers = count(1)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HypervisorSite]:
    folder = tmp_path_factory.mktemp("hypervisors")
    image = build_image(Path(os.environ["EVBRIDGE_GUEST_KERNEL"]), folder)
    site = HypervisorSite(
        folder, [ROOT / "policies"], image, fabric(StationKind.EVB), HostKind(DaemonStation, domain_for_hook, hook_text)
    )
    with inside(), site, ExitStack() as stack:
        for host in site.hosts.values():
            stack.callback(end, start_listener(host, host.station, folder))
        yield site


@pytest.fixture
def guest(site: HypervisorSite) -> Iterator[Guest]:
    """A guest at hv1; afterwards no host has it, and the switches hold what they held before."""
    before = _tables()
    number = next(_numbers)
    uuid, mac = f"44444444-2222-4333-8444-{number:012d}", f"52:54:00:dd:00:{number:02x}"
    guest = Guest(f"vm{number}", uuid, mac, f"10.0.100.{10 + number}", 10, 1)
    site.boot(guest, "hv1")
    yield guest
    site.destroy(guest)
    wait_until(lambda: _tables() == before, "flow tables as before the test", LONG)


def _tables() -> dict[str, list[str]]:
    return {name: dump_rules(name) for name in ("s1", "s2")}


def vsi_states(site: HypervisorSite, host: str) -> list[str]:
    station = site.hosts[host].station
    assert isinstance(station, DaemonStation)
    return [vsi["state"] for vsi in station.status()["vsis"]]


def test_a_guest_moves_there_and_back_with_its_connections(site: HypervisorSite, guest: Guest) -> None:
    client = site.client.namespace
    with GuestStream(client, guest.ip, ECHO) as echo, GuestStream(client, guest.ip, SOURCE) as source:
        for here, there in (("hv1", "hv2"), ("hv2", "hv1")):
            written = site.migrate(guest, here, there)
            assert "error" not in written, written
            site.wait_there(guest, there)
            assert (vsi_states(site, here), vsi_states(site, there)) == ([], ["associated"])
            for stream in (echo, source):
                stream.wait_heard(f"after the move to {there}")
    assert ladder(site, guest) == [
        *(("flow.staged", "hv1"), ("flow.activated", "hv1")),
        *(("flow.staged", "hv2"), ("flow.activated", "hv2")),
        *(("flow.staged", "hv1"), ("flow.activated", "hv1")),
    ]
    for host in ("hv1", "hv2"):
        station = site.hosts[host].station
        assert isinstance(station, DaemonStation)
        assert f"suspend of VSI {guest.uuid}" in station.log.read_text()


def ladder(site: HypervisorSite, guest: Guest) -> list[tuple[str, str]]:
    """Steps of a guest's policy and the hosts at whose ports they were, in their order."""
    steps = [event for event in site.controller.get("/evb/events") if event["vsi"] == guest.uuid]
    return [
        (event["kind"], HOSTS[event["port"]]) for event in steps if event["kind"] in ("flow.staged", "flow.activated")
    ]


def test_a_refused_reservation_ends_the_migration_with_the_bridges_reason(site: HypervisorSite, guest: Guest) -> None:
    station = site.hosts["hv2"].station
    assert isinstance(station, DaemonStation)
    occupant = "55555555-2222-4333-8444-000000000001"
    assert station.call("reserve", occupant, type=10, filters=["100-52:54:00:bb:00:01"])["ok"]
    with GuestStream(site.client.namespace, guest.ip, ECHO) as echo:
        written = site.migrate(guest, "hv1", "hv2")
        assert f"reserve of VSI {guest.uuid}: refused: error 2, insufficient resources" in written
        site.wait_there(guest, "hv1")
        echo.wait_heard("after the refusal")
    assert station.call("release", occupant)["ok"]


def test_an_aborted_migration_leaves_the_guest_where_it_was(site: HypervisorSite, guest: Guest) -> None:
    words = site.migration(guest, "hv1", "hv2", "--bandwidth", "1")
    virsh = site.hosts["hv1"].start_virsh(*words)
    try:
        wait_until(lambda: site.places(guest).get("hv2") == "staged", "staged at the destination", LONG)
        wait_until(lambda: "ok" in _aborted(site, guest), "domjobabort", LONG, pause=0.5)
        assert virsh.wait(LONG) != 0
    finally:
        virsh.kill()
        virsh.communicate()
    site.wait_there(guest, "hv1")
    assert (vsi_states(site, "hv1"), vsi_states(site, "hv2")) == (["associated"], [])


def _aborted(site: HypervisorSite, guest: Guest) -> str:
    written = site.hosts["hv1"].virsh("domjobabort", guest.name, check=False)
    return written if written.strip() else "ok"
