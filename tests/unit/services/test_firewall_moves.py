"""Connections of the firewall through all that may befall a move: they survive or are refused, none is left behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ryu_apps.evb.events.effect import Effect, Mode, ReadRules
from ryu_apps.evb.events.switch import Rejected
from ryu_apps.evb.pipeline.tables import CookieKind
from ryu_apps.evb.services.body import body_of_type, body_of_vsi
from ryu_apps.evb.services.fragments import MAX_NOTED
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.late_switches import PATIENCE
from ryu_apps.evb.vsi.needs import GATE_TABLES
from ryu_apps.evb.vsi.reservation import RULES
from ryu_apps.evb.wire.vdp import VdpError, VdpMode
from tests.unit.services.test_firewall import (
    ACK,
    LIMIT,
    POLICIES,
    SMALL,
    SYN,
    WALLED,
    Site,
    handshake,
    of,
    peer,
    tcp,
    udp,
)
from tests.worlds.bridge import CLIENT, CLIENT_MAC, HV1, HV2, HV3, HV4, NMS, S1, S2, Vm, World, two_switches

VM = Vm(7, WALLED)
SERVER = of(VM, 80)
ALL_ONES = (1 << 64) - 1
#: What only its peer sends: the VM just receives.
PUSH = tcp(peer(4000), SERVER, ACK)
STREAM = udp(peer(4000), of(VM, 5000))


@pytest.fixture
def site() -> Site:
    """A VM at HV1 with two connections, both begun by its peer."""
    site = Site()
    site.admit(VM)
    assert all(map(site.passes, [*handshake(peer(4000), SERVER), STREAM]))
    return site


def reaches(site: Site, frame: dict[str, int]) -> list[int]:
    """Ports of the far switch where a frame from the NMS comes out; it has come over the trunk."""
    return site.send(CLIENT, frame | {"eth_src": CLIENT_MAC})


def left(site: Site, dpid: int) -> int:
    return len(site.state(dpid))


# --- both ladders -----------------------------------------------------------------------------------
@pytest.mark.parametrize("safest", [False, True])
@pytest.mark.parametrize("staged", [False, True])
def test_what_only_the_peer_sends_passes_after_the_move(site: Site, safest: bool, staged: bool) -> None:
    if staged:
        site.admit(VM, HV3, VdpMode.PREASSOCIATE_RR)
        assert reaches(site, PUSH) == []
        if safest:
            site.world.ask(HV1, VM, VdpMode.DEASSOCIATE)
            assert reaches(site, PUSH) == []
    site.admit(VM, HV3)
    assert reaches(site, PUSH) == reaches(site, STREAM) == [HV3.port_no]
    for changed in ("tcp_src", "tcp_dst", "ipv4_src"):
        assert reaches(site, PUSH | {changed: PUSH[changed] ^ 1}) == []
    site.world.advance(1.0)
    assert left(site, S1) == 0


@pytest.mark.parametrize("safest", [False, True])
def test_what_ends_at_the_source_ends_at_the_destination(site: Site, safest: bool) -> None:
    site.admit(VM, HV3, VdpMode.PREASSOCIATE_RR)
    rules = site.world.tables[S1].rules
    for rule in site.state():
        if any(field.name == "udp_src" for field in rule.match):
            del rules[rule.key]
        elif rule.idle_timeout == 3600:
            rules[rule.key] = replace(rule, idle_timeout=120)
    if safest:
        site.world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    site.admit(VM, HV3)
    assert sorted(rule.idle_timeout for rule in site.state(S2)) == [10, 120]
    assert reaches(site, PUSH) == [HV3.port_no]


def test_nothing_ends_because_the_source_cannot_be_asked(site: Site) -> None:
    site.admit(VM, HV3, VdpMode.PREASSOCIATE_RR)
    site.world.disconnect(S1)
    for _ in range(int(PATIENCE)):
        site.world.advance(1.0)
        site.admit(VM, HV3, VdpMode.PREASSOCIATE_RR)
    site.admit(VM, HV3)
    assert sorted(rule.idle_timeout for rule in site.state(S2)) == [10, 60, 3600]


class DeafWorld(World):
    """One whose switches stop to say what they have learnt."""

    deaf = False

    def _perform(self, effect: Effect) -> None:
        match effect:
            case ReadRules(dpid, token, mask) if self.silent_meters and mask.mask == ALL_ONES:
                self.feed(Rejected(dpid, token, "no answer"))
            case _:
                super()._perform(effect)


def test_nothing_ends_because_the_source_does_not_answer() -> None:
    world = DeafWorld(policies=POLICIES)
    site = Site(world)
    site.admit(VM)
    assert all(map(site.passes, handshake(peer(4000), SERVER)))
    site.admit(VM, HV3, VdpMode.PREASSOCIATE_RR)
    world.silent_meters = True
    site.admit(VM, HV3)
    assert reaches(site, PUSH) == [HV3.port_no]
    assert any(event.kind == "state.lost" for event in world.happened)


# --- what goes wrong ----------------------------------------------------------------------------------
Mishap = Callable[[Site], None]


def nothing(site: Site) -> None:
    """All goes well, and the VM goes."""


def restart(site: Site) -> None:
    site.world.restart_controller()


def amnesia(site: Site) -> None:
    site.world.restart_controller(remembering=False)


def reconnect(site: Site) -> None:
    site.world.disconnect(S2)
    site.world.connect(S2)


def source_away(site: Site) -> None:
    site.world.disconnect(S1)
    site.world.advance(0.1)
    site.world.connect(S1)


Ladder = list[tuple[PortId, VdpMode]]
SAFEST: Ladder = [
    (HV3, VdpMode.PREASSOCIATE_RR),
    (HV1, VdpMode.DEASSOCIATE),
    (HV3, VdpMode.ASSOCIATE),
    (HV3, VdpMode.DEASSOCIATE),
]
FASTEST: Ladder = [(HV3, VdpMode.PREASSOCIATE_RR), (HV3, VdpMode.ASSOCIATE), (HV3, VdpMode.DEASSOCIATE)]


@pytest.mark.parametrize("mishap", [nothing, restart, amnesia, reconnect, source_away])
@pytest.mark.parametrize("ladder", [SAFEST, FASTEST], ids=["safest", "fastest"])
@pytest.mark.parametrize("when", range(5))
def test_no_state_outlives_a_vsi_whatever_happens_when(site: Site, mishap: Mishap, ladder: Ladder, when: int) -> None:
    if when > len(ladder):
        return
    for number, (port, mode) in enumerate(ladder):
        if number == when:
            mishap(site)
        site.world.ask(port, VM, mode)
    if when == len(ladder):
        mishap(site)
    site.world.advance(60.0)
    assert left(site, S1) == left(site, S2) == 0
    assert not site.world.rules(S1, CookieKind.VSI_BODY) and not site.world.rules(S2, CookieKind.VSI_BODY)


@pytest.mark.parametrize("mode", [Mode.STAGE, Mode.ATOMIC, Mode.BULK])
@pytest.mark.parametrize("dpid", [S1, S2])
def test_a_switch_that_refuses_leaves_the_connections_where_they_work(site: Site, dpid: int, mode: Mode) -> None:
    site.world.refuse[dpid, mode] = "no"
    site.world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    site.world.ask(HV3, VM, VdpMode.ASSOCIATE)
    site.world.advance(0.5)
    if site.world.answer(HV3).success:
        assert reaches(site, PUSH) == [HV3.port_no] and left(site, S1) == 0
    else:
        assert site.passes(PUSH) and left(site, S2) == 0


def test_abort_after_staging_and_the_move_that_follows(site: Site) -> None:
    before = site.world.snapshot()
    site.world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    assert left(site, S2) == left(site, S1) == 3
    site.world.ask(HV3, VM, VdpMode.DEASSOCIATE)
    assert site.world.snapshot() == before
    site.admit(VM, HV4, VdpMode.PREASSOCIATE_RR)
    site.admit(VM, HV4)
    assert reaches(site, PUSH) == [HV4.port_no]


# --- room -------------------------------------------------------------------------------------------------
def test_more_connections_than_the_type_at_the_destination_may_have_are_refused(site: Site) -> None:
    assert all(site.passes(tcp(peer(5000 + number), SERVER, SYN)) for number in range(2 * LIMIT))
    before = site.world.snapshot()
    site.world.ask(HV3, Vm(7, SMALL), VdpMode.PREASSOCIATE_RR)
    assert site.world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES
    site.world.advance(1.0)
    assert site.world.snapshot() == before and site.passes(PUSH)


@pytest.mark.parametrize(("spare", "granted"), [(0, True), (-1, False)])
def test_room_for_every_connection_is_part_of_the_budget(spare: int, granted: bool) -> None:
    empty = World(policies=POLICIES)
    empty.connect()
    vsi_type = POLICIES.types[SMALL]
    empty.ask(HV1, Vm(7, SMALL), VdpMode.PREASSOCIATE_RR)
    program = empty.engine.registry.vsi(Vm(7).vsi_id).attachments[HV1].holding.program
    body = len(body_of_type(vsi_type, program.epoch)) + len(body_of_vsi(vsi_type, program.binding))
    needed = body + len(GATE_TABLES) + 2 * LIMIT + MAX_NOTED
    assert empty.engine.ledger.used(S1) == needed
    base = empty.engine.wanted.budgeted(S1)[RULES]
    world = World(policies=POLICIES, fabric=two_switches(max_rules=base + needed + spare))
    world.connect()
    before = world.snapshot()
    world.ask(HV1, Vm(7, SMALL), VdpMode.PREASSOCIATE_RR)
    answer = world.answer(HV1)
    assert answer.success is granted
    assert granted or (answer.error is VdpError.INSUFFICIENT_RESOURCES and world.snapshot() == before)


def test_within_one_switch(site: Site) -> None:
    site.admit(VM, HV2, VdpMode.PREASSOCIATE_RR)
    site.admit(VM, HV2)
    assert site.send(NMS, PUSH) == [HV2.port_no] and left(site, S1) == 3
