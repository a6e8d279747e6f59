"""Tenants by GroupID: null VIDs, local VIDs of a switch, priorities; the VSI types are those of the manual."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

import pytest

from mininet_tests.conftest import CHECKOUT, SHORT, heard_again, tables, wait_as_found
from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.vid_translation import VidTranslation
from ryu_apps.testbed.emulator import EmulatedStation, StationLoop
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import Namespace, wait_until
from ryu_apps.testbed.harness.staged import StagedTarget, datagram
from ryu_apps.testbed.harness.station import HypervisorStation, LldpadStation, VdptoolMode, VdptoolVsi
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.testbed.moves.attempt import dismiss
from ryu_apps.testbed.raw_frames import CapturedFrame, RawSocket, tagged
from ryu_apps.testbed.short_timers import quick
from ryu_apps.topologies import two_switch

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

RED, BLUE = 1000, 2000
#: VIDs of red and blue at the station ports of each switch: at the second they have changed places.
VIDS = {"s1": {RED: 100, BLUE: 200}, "s2": {RED: 200, BLUE: 100}}
PRIORITY = {RED: 5, BLUE: 0}
#: Hypervisors whose station is an unmodified lldpad, one at each switch.
LLDPADS = ("hv1", "hv5")
SILENCE = 0.3


def fabric() -> Fabric:
    """Two switches without native VLAN at station ports; the second has local VIDs."""
    plain = quick(two_switch.fabric(8), SHORT)

    def port(interface: Interface) -> Interface:
        vids = tuple(VIDS["s1"].values())
        return replace(interface, native_vlan=None, tagged_vlans=vids) if interface.role is Role.STATION else interface

    switches = {
        dpid: replace(switch, interfaces={number: port(found) for number, found in switch.interfaces.items()})
        for dpid, switch in plain.switches.items()
    }
    switches[2] = replace(switches[2], translation=VidTranslation({100: 200, 200: 100}))
    return replace(plain, switches=switches, groups=dict(VIDS["s1"]))


@pytest.fixture(scope="module")
def module_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    config = dump_config(BridgeConfig(fabric(), (str(CHECKOUT / "policies" / "tenants"),)))
    with inside(), closing(StationLoop()) as loop:

        def station(namespace: Namespace, interface: str, folder: Path) -> HypervisorStation:
            make = partial(LldpadStation, groups=True) if namespace.name in LLDPADS else partial(EmulatedStation, loop)
            return make(namespace, interface, folder)

        folder = tmp_path_factory.mktemp("networks")
        with Cluster(fabric(), two_switch.END_SYSTEMS, folder, config, station=station) as cluster:
            yield cluster


@pytest.fixture
def cluster(module_cluster: Cluster) -> Iterator[Cluster]:
    """A test leaves the flow tables as it found them."""
    before = tables(module_cluster)
    yield module_cluster
    wait_as_found(partial(tables, module_cluster), before)


def mac(number: int) -> str:
    return f"52:54:00:ed:00:{number:02x}"


def vsi(number: int, group: int, entry: str = "0-{mac}") -> VdptoolVsi:
    identity = f"00000000-0000-4000-b100-{number:012d}"
    return VdptoolVsi(identity, group, 1, (entry.format(mac=mac(number)),), f"10.0.100.{150 + number}")


@dataclass
class Guest:
    """A VM of a tenant whose frames are made by hand."""

    number: int
    group: int
    hypervisor: str
    wire: RawSocket
    vm: NamespaceVm

    @property
    def vid(self) -> int:
        """The VID of the tenant at the switch of the hypervisor."""
        return VIDS["s1" if int(self.hypervisor.removeprefix("hv")) < 5 else "s2"][self.group]

    def sends(self, other: Guest, vid: int) -> bytes:
        """Send a datagram; returns what it can be recognized by."""
        Guest.sent += 1
        target = StagedTarget(other.vm.mac, other.vm.ip, 443)
        frame = datagram(self.vm.mac, self.vm.ip, target) + struct.pack("!Q", Guest.sent)
        self.wire.send(tagged(frame, vid))
        return frame[-24:]

    sent = 0


@contextmanager
def guest(
    cluster: Cluster, number: int, group: int, hypervisor: str, entry: str = "0-{mac}", associated: bool = True
) -> Iterator[Guest]:
    """A VM of a tenant with a null VID."""
    vm = NamespaceVm(f"t{number}", mac(number), f"10.0.100.{150 + number}")
    cluster.boot(vm, hypervisor)
    requested, home = vsi(number, group, entry), cluster.hypervisors[hypervisor]
    with ExitStack() as stack:
        stack.callback(cluster.shut_down, vm.name, hypervisor)
        found = Guest(number, group, hypervisor, stack.enter_context(RawSocket(vm.namespace, "eth0")), vm)
        if associated:
            assert home.station.request(VdptoolMode.ASSOCIATE, requested).granted
            stack.callback(dismiss, home, answered(requested, found.vid))
        yield found


def answered(requested: VdptoolVsi, vid: int) -> VdptoolVsi:
    """The VSI with the VID of the answer: lldpad looks for it when it has to end it."""
    tci = 0x8000 | PRIORITY[requested.type_id] << 12 | vid if PRIORITY[requested.type_id] else vid
    return replace(requested, filters=tuple(f"{tci}{entry[1:]}" for entry in requested.filters))


def arrives(sender: Guest, receiver: Guest) -> CapturedFrame | None:
    """Return a datagram as it arrives within the tenant, None if it does not; a switch may still cache a drop."""
    return heard_again(receiver.wire, lambda: sender.sends(receiver, sender.vid))


def reaches(sender: Guest, receiver: Guest) -> bool:
    """True if a datagram arrives with the VID of the receiver's switch and the priority of the sender's type."""
    heard = arrives(sender, receiver)
    return heard is not None and (heard.vid, heard.pcp) == (receiver.vid, PRIORITY[sender.group])


def shown(cluster: Cluster, number: int) -> list[dict[str, object]]:
    found = cluster.controller.get(f"/evb/vsis/{vsi(number, RED).uuid}")
    return [binding for attachment in found["attachments"] for binding in attachment["bindings"]]


def test_two_tenants_with_null_vids_do_not_reach_each_other(cluster: Cluster) -> None:
    with (
        guest(cluster, 1, RED, "hv2") as red,
        guest(cluster, 2, RED, "hv6") as other_red,
        guest(cluster, 3, BLUE, "hv3") as blue,
        guest(cluster, 4, BLUE, "hv7") as other_blue,
    ):
        for here, there in ((red, other_red), (blue, other_blue)):
            assert reaches(here, there)
            assert reaches(there, here)
        for tenant, stranger in product((red, other_red), (blue, other_blue)):
            for sender, receiver in ((tenant, stranger), (stranger, tenant)):
                markers = [sender.sends(receiver, vid) for vid in (0, 100, 200)]
                assert all(receiver.wire.hears(marker, SILENCE) is None for marker in markers)
        assert shown(cluster, 2) == [{"vid": 100, "mac": mac(2), "local_vid": 200, "group": RED, "pcp": 5}]
        assert shown(cluster, 4) == [{"vid": 200, "mac": mac(4), "local_vid": 100, "group": BLUE, "pcp": None}]


def test_a_vsi_that_moves_gets_the_vid_of_its_new_switch(cluster: Cluster) -> None:
    destination = cluster.hypervisors["hv6"].station
    with (
        guest(cluster, 1, BLUE, "hv2") as friend,
        guest(cluster, 2, BLUE, "hv3") as source,
        guest(cluster, 3, BLUE, "hv6", associated=False) as place,
    ):
        assert reaches(friend, source)
        # The VM at its new place has the address that it had; here it is another namespace.
        moved = replace(vsi(2, BLUE), filters=(f"0-{mac(2)}",))
        assert destination.request(VdptoolMode.PREASSOCIATE_RR, moved).granted
        staged = replace(place, vm=source.vm)
        assert friend.wire.hears(staged.sends(friend, staged.vid), SILENCE) is None
        assert reaches(friend, source)
        assert destination.request(VdptoolMode.ASSOCIATE, moved).granted
        assert reaches(staged, friend)
        assert friend.wire.hears(source.sends(friend, source.vid), SILENCE) is None
        assert shown(cluster, 2)[-1]["local_vid"] == VIDS["s2"][BLUE]
        dismiss(cluster.hypervisors["hv6"], answered(moved, staged.vid))


# --- lldpad ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("entry", ["0-{mac}", "0-{mac}-{group}", "0--{group}"])
@pytest.mark.parametrize("group", [RED, BLUE])
def test_an_unmodified_station_acquires_its_network(cluster: Cluster, entry: str, group: int) -> None:
    written = entry.replace("{group}", str(group))
    with (
        guest(cluster, 1, group, "hv1", written) as here,
        guest(cluster, 2, group, "hv5", written) as there,
        guest(cluster, 3, group, "hv6") as third,
    ):
        before = deadlines(cluster)
        for sender, receiver in ((here, third), (third, here), (there, third), (third, there)):
            assert reaches(sender, receiver)
        # Keep-alives have the VID and the priority of the answer; they are repetitions, not other requests.
        wait_until(lambda: all(now > then for now, then in zip(deadlines(cluster), before, strict=True)), "keep-alives")
        for number, guest_there in ((1, here), (2, there)):
            station = cluster.hypervisors[guest_there.hypervisor].station
            assert station.holds(VdptoolMode.ASSOCIATE, vsi(number, group))
            assert [binding["local_vid"] for binding in shown(cluster, number)] == [guest_there.vid]


@pytest.mark.parametrize("hypervisor", LLDPADS)
@pytest.mark.parametrize(
    ("group", "entry"),
    [(RED, "0-{mac}-77"), (RED, "0-{mac}-2000"), (RED, "{blue}-{{mac}}"), (RED, "{blue}-{{mac}}-1000")],
)
def test_an_unmodified_station_is_refused_another_network(
    cluster: Cluster, hypervisor: str, group: int, entry: str
) -> None:
    blue = VIDS["s1" if hypervisor == "hv1" else "s2"][BLUE]
    written = entry.format(blue=blue, mac="{mac}") if "{blue}" in entry else entry
    answer = cluster.hypervisors[hypervisor].station.request(VdptoolMode.ASSOCIATE, vsi(9, group, written))
    assert not answer.granted
    assert answer.reason == "Invalid VID, GroupID or MAC address field"


def deadlines(cluster: Cluster) -> list[float]:
    vsis = cluster.controller.get("/evb/vsis")
    return [attachment["deadline"] for found in vsis for attachment in found["attachments"]]
