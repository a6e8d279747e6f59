"""Gates that open by a meter, on a real Open vSwitch: a shut one passes nothing and learns nothing."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

import pytest

from ryu_apps.evb.events.switch import SwitchUp
from ryu_apps.evb.flow.actions import CONTROLLER, Output, Resubmit
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.metered_gate import gate_meter_id, shut
from ryu_apps.evb.pipeline.tables import OURS, Table
from ryu_apps.evb.policy.model import Acl, AclRule, PolicySet, VsiType
from ryu_apps.evb.services.firewall.schema import FirewallPolicy, Lifetimes
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import GateMode
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.southbound import proof
from tests.interop.controller import Controller
from tests.interop.private_ovs import PrivateOvs, wait_for
from tests.worlds.bridge import OPEN, POLICIES, Vm, open_type
from tests.worlds.real import PEER_MAC, OpenVswitchWorld, one_switch

WALLED = VsiTypeKey(30, 1)
SIZES = (64, 1518)
#: Frames of a flood.
FLOOD = 5_000
#: Frames that the switch takes in at once; what is lost before it, no meter sees.
TAKEN_IN = 50
PEER = IPv4Address("10.0.100.250")


def walled() -> VsiType:
    firewall = FirewallPolicy(Acl(default=True), Acl(default=True), 10, Lifetimes(60, 60, 60, 60))
    return replace(open_type(WALLED), services=(("firewall", firewall),))


End = tuple[int, IPv4Address]


def frame(destination: End, source: End, size: int, *, fragment: bool = False) -> bytes:
    """A TCP SYN, or a first fragment of it, as many octets with the checksum of Ethernet."""
    (to_mac, to_ip), (from_mac, from_ip) = destination, source
    flags = b"\x20\x00" if fragment else b"\0\0"
    ipv4 = b"\x45\0" + (size - 18).to_bytes(2) + b"\0\1" + flags + b"\x40\x06\0\0" + from_ip.packed + to_ip.packed
    tcp = (40000).to_bytes(2) + (80).to_bytes(2) + bytes(8) + b"\x50\x02" + bytes(6)
    return (to_mac.to_bytes(6) + from_mac.to_bytes(6) + b"\x08\0" + ipv4 + tcp).ljust(size - 4, b"\0")


def end(vm: Vm) -> End:
    return vm.mac, vm.address


@dataclass
class Site:
    """A bridge with its switch, and what is plugged in there."""

    world: OpenVswitchWorld
    controller: Controller
    ovs: PrivateOvs
    bridge: str
    ends: dict[int, socket.socket]

    @property
    def hv1(self) -> PortId:
        return PortId(self.controller.dpid, 1)

    @property
    def hv2(self) -> PortId:
        return PortId(self.controller.dpid, 2)

    def ask(self, port: PortId, vm: Vm, mode: VdpMode) -> None:
        self.world.ask(port, vm, mode)
        assert self.world.answer(port).success

    def sent_by(self, port: int) -> int:
        shown = self.ovs.ofctl("dump-ports", self.bridge, str(port))
        return int(shown.split("tx pkts=")[1].split(",")[0])

    def received_by(self, port: int) -> int:
        shown = self.ovs.ofctl("dump-ports", self.bridge, str(port))
        return int(shown.split("rx pkts=")[1].split(",")[0])

    def metered(self, number: int) -> int:
        return self.controller.meters(gate_meter_id(number))[gate_meter_id(number)].packets

    def age(self) -> float:
        """Seconds for which the first gate's meter has been there."""
        return self.controller.meters(gate_meter_id(1))[gate_meter_id(1)].age

    def flood(self, octets: bytes, port: int, meter: int, times: int = FLOOD) -> int:
        """Send frames into a port; returns, when a meter has seen all, how many have left by other ports."""
        others = [other for other in self.ends if other != port]
        sent, seen = sum(map(self.sent_by, others)), self.metered(meter)
        for first in range(0, times, TAKEN_IN):
            some = min(TAKEN_IN, times - first)
            for _ in range(some):
                self.ends[port].send(octets)
            self.all_metered(meter, seen + first + some)
        return sum(map(self.sent_by, others)) - sent

    def all_metered(self, meter: int, frames: int) -> None:
        wait_for(lambda: self.metered(meter) >= frames, "frames to be metered")

    def passes(self, octets: bytes, port: int, out: int) -> None:
        """Send a frame until it has left by a port."""
        before = self.sent_by(out)

        def arrived() -> bool:
            self.ends[port].send(octets)
            return self.sent_by(out) > before

        wait_for(arrived, "a frame that passes")

    def cached(self) -> str:
        return self.ovs.appctl("dpctl/dump-flows")

    def learnt(self) -> set[int]:
        return {rule.table for rule in self.controller.rules(OURS)} & {Table.CONNECTIONS, Table.FRAGMENTS}


@pytest.fixture
def site(private_ovs: PrivateOvs, bridge: str, controller: Controller, far_ends: dict[int, socket.socket]) -> Site:
    policies = PolicySet({**POLICIES.types, WALLED: walled()})
    world = OpenVswitchWorld(one_switch(controller.dpid, GateMode.METER), policies, controller=controller)
    world.connect()
    return Site(world, controller, private_ovs, bridge, far_ends)


def to_vm(vm: Vm, size: int) -> bytes:
    return frame(end(vm), (PEER_MAC, PEER), size)


def from_vm(vm: Vm, size: int) -> bytes:
    return frame((PEER_MAC, PEER), end(vm), size)


@pytest.mark.parametrize("size", SIZES)
def test_a_flood_does_not_pass_a_shut_gate_and_passes_an_open_one(site: Site, size: int) -> None:
    vm = Vm(1)
    site.ask(site.hv1, vm, VdpMode.PREASSOCIATE_RR)
    assert site.flood(from_vm(vm, size), 1, meter=1) == 0
    assert site.flood(to_vm(vm, size), 3, meter=1) == 0
    assert site.cached().count("meter(") >= 2 * 3
    site.ask(site.hv1, vm, VdpMode.ASSOCIATE)
    site.passes(from_vm(vm, size), 1, out=3)
    site.passes(to_vm(vm, size), 3, out=1)


def test_the_gate_shuts_again(site: Site) -> None:
    vm = Vm(1)
    site.ask(site.hv1, vm, VdpMode.PREASSOCIATE_RR)
    site.ask(site.hv1, vm, VdpMode.ASSOCIATE)
    site.passes(from_vm(vm, 64), 1, out=3)
    site.ask(site.hv1, vm, VdpMode.PREASSOCIATE_RR)
    seen = site.metered(1)

    def is_metered() -> bool:
        site.ends[1].send(from_vm(vm, 64))
        return site.metered(1) > seen

    wait_for(is_metered, "cached flow that leads through the meter again")
    assert site.flood(from_vm(vm, 64), 1, meter=1, times=1000) == 0


def test_sparse_frames_do_not_pass_either(site: Site) -> None:
    """The bucket is full again before each of them."""
    vm = Vm(1)
    site.ask(site.hv1, vm, VdpMode.PREASSOCIATE_RR)
    for _ in range(5):
        assert site.flood(from_vm(vm, 64), 1, meter=1, times=1) == 0
        full = site.age() + 1.5
        wait_for(lambda until=full: site.age() > until, "full bucket")  # type: ignore[misc]


def test_purged_caches_let_nothing_pass(site: Site) -> None:
    vm = Vm(1)
    site.ask(site.hv1, vm, VdpMode.PREASSOCIATE_RR)
    leaked = 0
    for _ in range(20):
        site.ovs.appctl("revalidator/purge")
        leaked += site.flood(from_vm(vm, 64), 1, meter=1, times=100)
    assert leaked == 0


def test_hundreds_of_staged_vsis_let_nothing_pass(site: Site) -> None:
    vms = [Vm(number) for number in range(1, 201)]
    for vm in vms:
        site.ask(site.hv1, vm, VdpMode.PREASSOCIATE_RR)
    for meter, vm in enumerate(vms, start=1):
        assert site.flood(from_vm(vm, 64), 1, meter, times=3) == 0
    site.ask(site.hv1, vms[100], VdpMode.ASSOCIATE)
    site.passes(from_vm(vms[100], 64), 1, out=3)
    assert site.flood(from_vm(vms[99], 64), 1, meter=100, times=100) == 0
    assert site.flood(from_vm(vms[101], 64), 1, meter=102, times=100) == 0


def test_nothing_passes_without_a_controller(site: Site) -> None:
    vm = Vm(1)
    site.ask(site.hv1, vm, VdpMode.PREASSOCIATE_RR)
    site.controller.close()
    before, seen = site.sent_by(3), _packets(site)
    for _ in range(1000):
        site.ends[1].send(from_vm(vm, 64))
    wait_for(lambda: _packets(site) > seen, "frames to be metered")
    assert site.sent_by(3) == before


@pytest.mark.parametrize(("ends", "port", "out"), [(from_vm, 1, 3), (to_vm, 3, 1)])
def test_a_gate_whose_meter_is_deleted_by_others_is_shut(
    site: Site, ends: Callable[[Vm, int], bytes], port: int, out: int
) -> None:
    vm = Vm(1)
    site.ask(site.hv1, vm, VdpMode.PREASSOCIATE_RR)
    site.ovs.ofctl("del-meters", site.bridge)
    # A flow that is cached keeps the number of its meter until it has been looked at again.
    site.ovs.appctl("revalidator/purge")
    before, arrived = site.sent_by(out), site.received_by(port)
    for _ in range(1000):
        site.ends[port].send(ends(vm, 64))
    wait_for(lambda: site.received_by(port) - arrived >= TAKEN_IN, "frames that are taken in")
    assert site.sent_by(out) == before


def _packets(site: Site) -> int:
    shown = site.ovs.ofctl("meter-stats", site.bridge, f"meter={gate_meter_id(1)}")
    return int(shown.split("packet_in_count:")[1].split()[0])


def restarted(site: Site) -> None:
    site.controller.start_over()
    site.controller.up()
    site.world.restart_controller()


def withdrawn(site: Site) -> None:
    site.ask(site.hv1, Vm(1), VdpMode.DEASSOCIATE)


@pytest.mark.parametrize("happens", [restarted, withdrawn])
def test_what_happens_to_a_staged_gate_opens_it_not_even_for_a_frame(
    site: Site, happens: Callable[[Site], None]
) -> None:
    vm = Vm(1)
    site.ask(site.hv1, vm, VdpMode.PREASSOCIATE_RR)
    before = site.sent_by(3)
    assert site.flood(from_vm(vm, 64), 1, meter=1, times=200) == 0
    happens(site)
    for _ in range(1000):
        site.ends[1].send(from_vm(vm, 64))
    # Never deleted: a cached flow that names a missing meter passes everything.
    site.world.connect()
    found = site.world.engine.bringup.shown_meters(site.controller.dpid)
    assert found is not None
    assert shut(1) in found
    assert site.sent_by(3) == before


def test_a_restart_while_cached_flows_still_lead_through_the_meter_costs_no_packet(site: Site) -> None:
    vm = Vm(1)
    site.ask(site.hv1, vm, VdpMode.PREASSOCIATE_RR)
    site.flood(from_vm(vm, 64), 1, meter=1, times=50)
    site.ask(site.hv1, vm, VdpMode.ASSOCIATE)
    site.passes(from_vm(vm, 64), 1, out=3)
    before = site.sent_by(3)
    for number in range(300):
        if number == 100:
            restarted(site)
        site.ends[1].send(from_vm(vm, 64))
        wait_for(lambda sent=number + 1: site.sent_by(3) - before >= sent, "every frame")  # type: ignore[misc]


def test_a_shut_gate_learns_nothing(site: Site) -> None:
    walled_vm, open_vm = Vm(1, type=WALLED), Vm(2)
    for vm in (walled_vm, open_vm):
        site.ask(site.hv1, vm, VdpMode.PREASSOCIATE_RR)
    site.ask(site.hv2, Vm(3, type=WALLED), VdpMode.ASSOCIATE)
    site.flood(from_vm(walled_vm, 64), 1, meter=1, times=10)
    site.flood(to_vm(walled_vm, 64), 3, meter=1, times=10)
    # Into the firewall of a neighbour, and as a fragment.
    site.flood(frame(end(Vm(3)), end(open_vm), 64), 1, meter=2, times=10)
    site.flood(frame((PEER_MAC, PEER), end(open_vm), 64, fragment=True), 1, meter=2, times=10)
    site.flood(frame(end(open_vm), (PEER_MAC, PEER), 64, fragment=True), 3, meter=2, times=10)
    assert site.learnt() == set()
    site.ask(site.hv1, walled_vm, VdpMode.ASSOCIATE)
    site.passes(from_vm(walled_vm, 64), 1, out=3)
    assert site.learnt() == {Table.CONNECTIONS}


# --- proof ----------------------------------------------------------------------------------------
def proven(controller: Controller) -> str | None:
    controller.start_over()
    controller.driver.query_features(proof=True)
    return controller.until(SwitchUp).unproven


def test_open_vswitch_proves_its_meters_again_and_again(controller: Controller) -> None:
    for _ in range(3):
        assert proven(controller) is None
    assert not any(rule.table == Table.GATE_METER for rule in controller.rules(OURS))


def test_a_meter_that_a_frame_passes_once_is_no_gate(controller: Controller, monkeypatch: pytest.MonkeyPatch) -> None:
    once = Resubmit(Table.GATE_METER), Output(CONTROLLER)
    monkeypatch.setattr(proof, "_THROUGH", once)
    assert proven(controller) == "a frame has passed a meter that is shut"


def test_a_meter_that_does_not_open_is_no_gate(controller: Controller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "opened", shut)
    assert proven(controller) == "no frame has passed a meter that is open"


def test_the_open_type_lets_everything_pass() -> None:
    """So what the other tests find dropped was dropped by the gate."""
    assert POLICIES.types[OPEN].from_vm == Acl((AclRule(True, ()),), default=False)
