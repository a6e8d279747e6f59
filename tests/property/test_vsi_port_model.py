"""Taps that come and go among requests, restarts and lost channels: rules in the switches, and who is heard."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ryu_apps.evb.model import Phase
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import NMS_MAC, Vm
from tests.worlds.draws import drawn
from tests.worlds.vswitch import HV, NMS, SERVER1, SERVER2, STATION1, STATION2, ServerWorld, tap_of

VMS = (Vm(7), Vm(8))
PLACES = [PortId(dpid, number) for dpid in (SERVER1, SERVER2) for number in (5, 6, 7)]
SERVERS = st.sampled_from([SERVER1, SERVER2])
REQUESTS = st.sampled_from([VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE])


class Taps(RuleBasedStateMachine):
    """Two servers, a hypervisor with a VEPA, two VMs."""

    @initialize()
    def connect(self) -> None:
        self.world = ServerWorld()
        self.world.connect()

    @rule(place=st.sampled_from(PLACES), name=st.sampled_from([*map(tap_of, VMS), "tapstranger", "eth9"]))
    def plug(self, place: PortId, name: str) -> None:
        """A name is at one number of a switch; another port there makes room."""
        taps = self.world.taps
        if place not in taps and not any(at.dpid == place.dpid and found == name for at, found in taps.items()):
            self.world.plug(place, name)

    @rule(place=st.sampled_from(PLACES))
    def unplug(self, place: PortId) -> None:
        if place in self.world.taps:
            self.world.unplug(place)

    @rule(port=st.sampled_from([STATION1, STATION2, HV]), vm=st.sampled_from(VMS), mode=REQUESTS)
    def ask(self, port: PortId, vm: Vm, mode: VdpMode) -> None:
        if port.dpid in self.world.engine.bringup.switches:
            self.world.ask(port, vm, mode, **({} if mode is VdpMode.DEASSOCIATE else {"migrating": True}))

    @rule(seconds=st.sampled_from([0.1, 1.0, 6.0]))
    def wait(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule()
    def restart_controller(self) -> None:
        self.world.restart_controller()

    @rule(dpid=SERVERS)
    def disconnect(self, dpid: int) -> None:
        if dpid in self.world.engine.bringup.switches:
            self.world.disconnect(dpid)

    @rule(dpid=SERVERS)
    def reconnect(self, dpid: int) -> None:
        if dpid not in self.world.engine.bringup.switches:
            self.world.connect(dpid)

    @property
    def _all_connected(self) -> bool:
        return all(self.world.engine.bringup.ready(dpid) for dpid in self.world.fabric.switches)

    @invariant()
    def switches_hold_what_they_should(self) -> None:
        for dpid in self.world.fabric.switches:
            if self.world.engine.bringup.ready(dpid):
                assert self.world.tables[dpid].rules == self.world.engine.wanted(dpid).rules, hex(dpid)

    @precondition(lambda machine: machine._all_connected)
    @invariant()
    def a_vm_is_heard_at_its_own_tap_alone_and_only_while_it_is_associated(self) -> None:
        world = self.world
        for vm in VMS:
            vsi = world.engine.registry.named(vm.text)
            owner = vsi.owner if vsi is not None else None
            active = owner is not None and owner.phase is Phase.ACTIVE
            for place, name in world.taps.items():
                here = active and owner is not None and owner.port.dpid == place.dpid and name == tap_of(vm)
                heard = {found.port for found in world.reached(place, vm.mac, NMS_MAC)} == {NMS}
                assert heard is here, (place, name)
                reached = {found.port for found in world.reached(NMS, NMS_MAC, vm.mac)}
                assert (place in reached) is here, (place, name)


TestTaps = Taps.TestCase
TestTaps.settings = drawn(25, steps=25)
