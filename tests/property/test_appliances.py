"""Chosen traffic passes an instance, both directions the same one and once, or is blocked; other traffic passes none.

VSIs of clients, of others and of instances come, go and move in any order.
"""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import GateMode
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import Vm, with_gates
from tests.worlds.counting import udp
from tests.worlds.steered import (
    BLOCKED,
    LEGS,
    PASSED,
    PASSING,
    PLAIN,
    ROUTED,
    ROUTER_MACS,
    Bump,
    SteeredWorld,
    host_mac,
    router,
    three_switches,
)

PORTS = [PortId(dpid, port) for dpid in (1, 2, 3) for port in (1, 2, 3)]
CLIENTS = (Vm(7, BLOCKED), Vm(8, PASSING), Vm(9, PLAIN), Vm(10, ROUTED))
INSTANCES = (Bump(40, instance="one"), Bump(41, instance="two"), router("r1"), router("r2"))
HOSTS = {dpid: (PortId(dpid, 4), host_mac(dpid), 0x0A006500 | dpid) for dpid in (1, 2, 3)}
#: Appliance of each type of client: the names of its instances.
THROUGH = {BLOCKED: {"one", "two"}, PASSING: {"one", "two"}, ROUTED: {"r1", "r2"}, PLAIN: set[str]()}


def _forged(source: int, mac: int, victim: Vm, vid: int) -> dict[str, int]:
    """A frame to an address that says to be for a VM; ``vid`` 0: untagged."""
    frame = udp(source, mac, src_ip=0x0A006501, dst_ip=int(victim.address))
    return frame | ({"vlan_vid": VLAN_PRESENT | vid} if vid else {})


class Appliances(RuleBasedStateMachine):
    """Three switches in a line, with all kinds of VMs."""

    @initialize(gate=st.sampled_from(GateMode))
    def connect(self, gate: GateMode) -> None:
        self.world = SteeredWorld(fabric=with_gates(three_switches(), gate))
        self.world.connect()
        self.world.routes = {address: mac for _, mac, address in HOSTS.values()}
        self.world.routes |= {int(vm.address): vm.mac for vm in CLIENTS}
        self.homes: dict[int, PortId] = {}
        self.staged: dict[int, set[PortId]] = {}

    @rule(vm=st.sampled_from([*CLIENTS, *INSTANCES]), port=st.sampled_from(PORTS))
    def associate(self, vm: Vm, port: PortId) -> None:
        """A VM begins or moves; two behind one port would talk to each other there."""
        if port not in self.homes.values():
            self.world.ask(port, vm, VdpMode.PREASSOCIATE_RR)
            self.world.ask(port, vm, VdpMode.ASSOCIATE)
            self.homes[vm.number] = port

    @rule(vm=st.sampled_from([*CLIENTS, *INSTANCES]))
    def leave(self, vm: Vm) -> None:
        if vm.number in self.homes:
            self.world.ask(self.homes.pop(vm.number), vm, VdpMode.DEASSOCIATE)

    @rule(vm=st.sampled_from([*CLIENTS, *INSTANCES]), port=st.sampled_from(PORTS))
    def stage(self, vm: Vm, port: PortId) -> None:
        if port not in self.homes.values():
            self.world.ask(port, vm, VdpMode.PREASSOCIATE_RR)
            self.staged.setdefault(vm.number, set()).add(port)

    @rule(vm=st.sampled_from([*CLIENTS, *INSTANCES]), victim=st.sampled_from(CLIENTS))
    def nothing_passes_from_where_a_vm_is_not(self, vm: Vm, victim: Vm) -> None:
        vids = (0, *LEGS[vm.instance], PASSED) if isinstance(vm, Bump) else (0, PASSED)
        for port in self.staged.get(vm.number, set()) - {self.homes.get(vm.number)}:
            for vid in vids:
                for mac in (victim.mac, host_mac(1), *ROUTER_MACS.values()):
                    assert self._way(port, _forged(vm.mac, mac, victim, vid)) == ([], [])

    @rule(vm=st.sampled_from(CLIENTS), victim=st.sampled_from(CLIENTS))
    def no_frame_of_a_guest_is_taken_for_one_that_has_passed(self, vm: Vm, victim: Vm) -> None:
        if vm.number in self.homes:
            home = self.homes[vm.number]
            for vid in (PASSED, *(vid for legs in LEGS.values() for vid in legs)):
                assert self._way(home, _forged(vm.mac, victim.mac, victim, vid)) == ([], [])
            for mac in ROUTER_MACS.values():
                assert self._way(home, _forged(mac, victim.mac, victim, 0)) == ([], [])

    @rule()
    def restart_controller(self) -> None:
        self.world.restart_controller()

    @rule(vm=st.sampled_from(CLIENTS), dpid=st.sampled_from(sorted(HOSTS)))
    def talk_to_a_host(self, vm: Vm, dpid: int) -> None:
        """Both ways through the same instance of its appliance, or none and as its type says."""
        if vm.number not in self.homes:
            return
        home, (port, mac, address) = self.homes[vm.number], HOSTS[dpid]
        out = self._way(home, udp(vm.mac, mac, src_ip=int(vm.address), dst_ip=address))
        back = self._way(port, udp(mac, vm.mac, src_ip=address, dst_ip=int(vm.address)))
        used = THROUGH[vm.type] & self._in_use()
        if used:
            assert len(out[0]) == 1 and set(out[0]) <= used and out[0] == back[0]
        else:
            assert out[0] == back[0] == []
        passes = bool(used) or vm.type in (PASSING, PLAIN)
        assert (out[1], back[1]) == (([port], [home]) if passes else ([], []))

    @rule(one=st.sampled_from(CLIENTS), other=st.sampled_from(CLIENTS))
    def talk_to_each_other(self, one: Vm, other: Vm) -> None:
        """Through an instance of the appliance of each, once, both ways the same ones."""
        if one is other or not {one.number, other.number} <= self.homes.keys():
            return
        ways = [
            self._way(self.homes[a.number], udp(a.mac, b.mac, src_ip=int(a.address), dst_ip=int(b.address)))
            for a, b in ((one, other), (other, one))
        ]
        wanted = [names for vm in (one, other) if (names := THROUGH[vm.type])]
        blocked = any(not THROUGH[vm.type] & self._in_use() and vm.type in (BLOCKED, ROUTED) for vm in (one, other))
        for (passed, ports), end in zip(ways, (other, one), strict=True):
            assert ports == ([] if blocked else [self.homes[end.number]])
            assert len(set(passed)) == len(passed), "none twice"
            if not blocked:
                assert all(names & set(passed) or not names & self._in_use() for names in wanted)
        assert blocked or set(ways[0][0]) == set(ways[1][0])

    @invariant()
    def switches_hold_what_they_should(self) -> None:
        for dpid in self.world.fabric.switches:
            wanted = self.world.engine.wanted(dpid)
            assert self.world.tables[dpid].rules == wanted.rules
            assert self.world.tables[dpid].groups == {group.group_id: group for group in wanted.groups}

    def _way(self, port: PortId, frame: Mapping[str, int]) -> tuple[list[str], list[PortId]]:
        delivered = self.world.deliver(port, frame)
        return list(self.world.passages), [copy.port for copy in delivered]

    def _in_use(self) -> set[str]:
        names = {40: "one", 41: "two", INSTANCES[2].number: "r1", INSTANCES[3].number: "r2"}
        return {name for number, name in names.items() if number in self.homes}


class TestAppliances(Appliances.TestCase):
    settings = settings(max_examples=8, stateful_step_count=25, deadline=None)
