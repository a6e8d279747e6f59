"""Anything that can happen to a bridge, in any order, against the list of what must never break."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ryu_apps.evb.flow.pipeline import Kind, Table, parse_cookie
from ryu_apps.evb.flow.rule import FlowTable
from ryu_apps.evb.io import Mode, OperatorDeassociate, PortChanged
from ryu_apps.evb.topology.fabric import PortId
from ryu_apps.evb.wire.vdp import VdpMode
from tests.world import EAGER, HV1, HV2, HV3, HV4, OPEN_2, S1, S2, Vm, World

PORTS = st.sampled_from([HV1, HV2, HV3, HV4])
SWITCHES = st.sampled_from([S1, S2])
VMS = st.sampled_from([Vm(1), Vm(2), Vm(2, type=OPEN_2), Vm(3, type=EAGER)])
MODES = st.sampled_from(list(VdpMode))


def pristine() -> dict[int, FlowTable]:
    world = World()
    world.connect()
    return world.tables


EMPTY = pristine()


class BridgeModel(RuleBasedStateMachine):
    """Stations ask, switches dawdle, refuse and vanish, the controller dies, time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.connect()
        self.away: set[int] = set()

    @rule(port=PORTS, vm=VMS, mode=MODES)
    def ask(self, port: PortId, vm: Vm, mode: VdpMode) -> None:
        self.world.ask(port, vm, mode)

    @rule(dpid=SWITCHES)
    def dawdle(self, dpid: int) -> None:
        self.world.hold.add(dpid)

    @rule()
    def catch_up(self) -> None:
        self.world.release()

    @rule(dpid=SWITCHES, mode=st.sampled_from([Mode.STAGE, Mode.ATOMIC]))
    def refuse_next(self, dpid: int, mode: Mode) -> None:
        self.world.refuse[dpid, mode] = "refused"

    @rule(dpid=SWITCHES)
    def vanish(self, dpid: int) -> None:
        self.away.add(dpid)
        self.world.disconnect(dpid)

    @rule(dpid=SWITCHES)
    def lose_everything(self, dpid: int) -> None:
        self.away.add(dpid)
        self.world.disconnect(dpid)
        self.world.tables[dpid] = FlowTable()

    @precondition(lambda self: self.away)
    @rule()
    def return_(self) -> None:
        self.world.connect(*self.away)
        self.away.clear()

    @rule()
    def controller_dies(self) -> None:
        self.away.clear()
        self.world.hold.clear()
        self.world.restart_controller()

    @rule(refuses=st.booleans())
    def disk(self, refuses: bool) -> None:
        self.world.store_refuses = "disk full" if refuses else None

    @rule()
    def store_dawdles(self) -> None:
        self.world.store_dawdles = True

    @rule()
    def store_catches_up(self) -> None:
        self.world.store_catches_up()

    @rule(port=PORTS, up=st.booleans())
    def link(self, port: PortId, up: bool) -> None:
        self.world.feed(PortChanged(port, up))

    @rule(vm=VMS)
    def operator(self, vm: Vm) -> None:
        self.world.feed(OperatorDeassociate(vm.text))

    @rule(seconds=st.sampled_from([0.05, 0.7, 1.4, 3.0]))
    def wait(self, seconds: float) -> None:
        self.world.advance(seconds)

    @invariant()
    def a_vsi_is_active_on_at_most_one_port(self) -> None:
        if self.world.held:
            return
        places: dict[int, set[PortId]] = {}
        for dpid in set(self.world.tables) - self.away:
            for key in self.world.rules(dpid, Kind.GATE):
                if key.table == Table.INGRESS:
                    fields = {field.name: field.value for field in key.match}
                    places.setdefault(fields["eth_src"], set()).add(PortId(dpid, fields["in_port"]))
        assert all(len(ports) == 1 for ports in places.values()), places

    @invariant()
    def a_gate_leads_to_a_body(self) -> None:
        for dpid, table in self.world.tables.items():
            bodies = {one.owner for one in map(parse_cookie, _cookies(table)) if one and one.kind is Kind.VSI_BODY}
            for key, entry in self.world.rules(dpid, Kind.GATE).items():
                owner = parse_cookie(entry.cookie)
                assert owner is not None
                assert key.table != Table.INGRESS or owner.owner in bodies

    @invariant()
    def an_index_has_one_generation_in_a_switch(self) -> None:
        for table in self.world.tables.values():
            seen: dict[int, int] = {}
            for one in map(parse_cookie, _cookies(table)):
                if one and one.kind is Kind.VSI_BODY:
                    assert seen.setdefault(one.owner, one.generation) == one.generation

    def teardown(self) -> None:
        """In the end everybody falls silent, and nothing may be left."""
        world = self.world
        world.store_refuses = None
        world.refuse.clear()
        world.store_catches_up()
        world.release()
        world.connect(*self.away)
        for port in (HV1, HV2, HV3, HV4):
            world.feed(PortChanged(port, True))
        world.advance(60.0)
        assert len(world.engine.registry) == 0
        assert world.store == {}
        for dpid, table in world.tables.items():
            assert table.rules == EMPTY[dpid].rules
        assert world.engine.ledger.used(S1) == world.engine.ledger.used(S2) == 0


def _cookies(table: FlowTable) -> set[int]:
    return {entry.cookie for entry in table.rules.values()}


TestBridgeModel = BridgeModel.TestCase
TestBridgeModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.soak
class TestBridgeModelForLong(BridgeModel.TestCase):
    """The same for some minutes."""

    settings = settings(max_examples=10_000, stateful_step_count=80, deadline=None)
