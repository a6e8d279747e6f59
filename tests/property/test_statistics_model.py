"""VMs talk and move, switches and controllers die: totals never fall, never exceed the truth, and reach it."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ryu_apps.evb.flow.change import FlowTable
from ryu_apps.evb.pipeline.tables import CookieKind, Table
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.statistics.totals import CounterValue
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import CLIENT, CLIENT_MAC, HV1, HV2, HV3, HV4, NMS, S1, S2, Vm
from tests.worlds.counting import BROADCAST, FROM, PLAIN, RULES, RULES_2, TO, CountingWorld, udp
from tests.worlds.draws import drawn

#: Each VM moves between two ports of its own: without reflective relay nothing goes back to where it came from,
#: and counts nevertheless (docs/switch.rst).
PORTS = {1: (HV1, HV3), 2: (HV2, HV4)}
SWITCHES = st.sampled_from([S1, S2])
VMS = st.sampled_from([Vm(1, type=PLAIN), Vm(2, type=RULES), Vm(2, type=RULES_2)])
UDP_PORTS = st.sampled_from([53, 25, 443])


def pristine() -> dict[int, FlowTable]:
    world = CountingWorld()
    world.connect()
    return world.tables


EMPTY = pristine()


class Statistics(RuleBasedStateMachine):
    """Each VM is known by its number; its type may change."""

    def __init__(self) -> None:
        super().__init__()
        self.world = CountingWorld()
        self.world.connect()
        # Begins with records, as a bridge does that keeps its state.
        self.world.restart_controller()
        self.world.ask(HV1, Vm(1, type=PLAIN), VdpMode.ASSOCIATE)
        self.world.ask(HV2, Vm(2, type=RULES), VdpMode.ASSOCIATE)
        self.shown = {number: (CounterValue(), CounterValue()) for number in (1, 2)}
        for number in self.shown:
            self.world.interface(Vm(number))

    def open_at(self, vm: Vm, port: PortId) -> bool:
        """True if the switch lets the VM's frames in."""
        return any(
            {field.name: field.value for field in key.match}.items()
            >= {"in_port": port.port_no, "eth_src": vm.mac}.items()
            for key in self.world.rules(port.dpid, CookieKind.GATE)
            if key.table == Table.INGRESS
        )

    @rule(
        vm=VMS,
        there=st.booleans(),
        number=UDP_PORTS,
        octets=st.integers(60, 1500),
        times=st.integers(1, 9),
        all_=st.booleans(),
    )
    def vm_sends(self, vm: Vm, there: bool, number: int, octets: int, times: int, all_: bool) -> None:
        port = PORTS[vm.number][there]
        if self.open_at(vm, port):
            destination = BROADCAST if all_ else CLIENT_MAC
            self.world.vm_sends(vm, port, udp(vm.mac, destination, number, src_ip=int(vm.address)), octets, times)

    @rule(vm=VMS, host=st.sampled_from([NMS, CLIENT]), number=UDP_PORTS, times=st.integers(1, 9), all_=st.booleans())
    def host_sends(self, vm: Vm, host: PortId, number: int, times: int, all_: bool) -> None:
        mac = self.world.fabric.switches[host.dpid].interfaces[host.port_no].macs[0]
        self.world.host_sends(host, udp(mac, BROADCAST if all_ else vm.mac, number), 100, times)

    @rule(there=st.booleans(), vm=VMS, mode=st.sampled_from([*VdpMode, VdpMode.ASSOCIATE, VdpMode.ASSOCIATE]))
    def ask(self, there: bool, vm: Vm, mode: VdpMode) -> None:
        self.world.ask(PORTS[vm.number][there], vm, mode)

    @rule(seconds=st.sampled_from([0.3, 1.0, 4.0]), kept=st.booleans())
    def wait(self, seconds: float, kept: bool) -> None:
        (self.world.keep_alive if kept else self.world.advance)(seconds)

    # What a disk would not take cannot outlive the controller.
    @precondition(lambda self: self.world.store_failure is None)
    @rule()
    def controller_dies(self) -> None:
        self.world.restart_controller()

    @rule(dpid=SWITCHES)
    def switch_is_away_for_a_moment(self, dpid: int) -> None:
        self.world.disconnect(dpid)
        self.world.connect(dpid)

    @rule(dpid=SWITCHES)
    def switch_dies(self, dpid: int) -> None:
        self.world.read()  # what nobody has read dies with it
        self.world.restart_switch(dpid)

    @rule()
    def disk_is_full(self) -> None:
        self.world.store_failure = "disk full"

    @precondition(lambda self: self.world.store_failure is not None)
    @rule()
    def disk_has_room_again(self) -> None:
        self.world.store_failure = None
        self.world.keep_alive(12.0)

    @rule()
    def settle(self) -> None:
        self.world.read()
        for number in (1, 2):
            totals = self.totals(number)
            if totals is not None:
                assert totals == self.truth(number)

    def totals(self, number: int) -> tuple[CounterValue, CounterValue] | None:
        """Expected total; None: none is shown before the switches have been read."""
        accounts = self.world.engine.counters.accounts.of(Vm(number).text)
        if any(not account.complete for account in accounts):
            return None
        sent = given = CounterValue()
        for account in accounts:
            sent = sent.plus(account.total(FROM)).plus(account.refused(FROM))
            given = given.plus(account.total(TO))
        return sent, given

    def truth(self, number: int) -> tuple[CounterValue, CounterValue]:
        interface = self.world.interface(Vm(number))
        return interface.tx, interface.rx

    @invariant()
    def totals_never_fall_and_never_exceed_the_truth(self) -> None:
        for number in (1, 2):
            totals = self.totals(number)
            if totals is None:
                continue
            for before, now, true in zip(self.shown[number], totals, self.truth(number), strict=True):
                assert before.packets <= now.packets <= true.packets
                assert before.octets <= now.octets <= true.octets
            self.shown[number] = totals

    def teardown(self) -> None:
        """In the end everybody falls silent, and no rule and no counter may be left."""
        world = self.world
        world.store_failure = None
        world.advance(60.0)
        assert len(world.engine.registry) == 0
        for dpid, table in world.tables.items():
            assert table.rules == EMPTY[dpid].rules
            assert table.meters == EMPTY[dpid].meters


TestStatistics = Statistics.TestCase
TestStatistics.settings = drawn(25, steps=40)


class TestStatisticsSoak(Statistics.TestCase):
    """The same for longer."""

    pytestmark = pytest.mark.soak
    settings = settings(max_examples=2000, stateful_step_count=60)
