"""Ports that are used again while the switch still remembers what they were used for."""

from __future__ import annotations

import pytest

from ryu_apps.evb.pipeline.tables import CookieKind
from ryu_apps.evb.services.firewall.connections import LIVES
from ryu_apps.evb.wire.vdp import VdpMode
from tests.unit.services.test_firewall import (
    ACK,
    CLIENT,
    FIN,
    LIMIT,
    RST,
    SERVER,
    SMALL,
    SYN,
    VM,
    End,
    Site,
    handshake,
    of,
    peer,
    tcp,
)
from tests.worlds.bridge import HV2, NMS, S1, Vm

IDLE, CLOSING, OPENING = 3600, 120, 10
ENDS = pytest.mark.parametrize(("client", "server"), [(peer(4000), SERVER), (CLIENT, peer(443))], ids=["in", "out"])
VERSIONS = pytest.mark.parametrize("version", [4, 6])
#: How a connection ends: who says what.
ENDINGS = pytest.mark.parametrize(
    "ending",
    [[("client", FIN | ACK), ("server", FIN | ACK), ("client", ACK)], [("server", RST)], [("client", RST | ACK)]],
    ids=["FIN", "RST of the server", "RST of the client"],
)


@pytest.fixture
def site() -> Site:
    site = Site()
    site.admit(VM)
    return site


def forgotten(site: Site, seconds: int) -> None:
    """Nobody says anything for so long."""
    rules = site.world.tables[S1].rules
    for key, rule in site.world.rules(S1, CookieKind.STATE).items():
        if rule.idle_timeout <= seconds:
            del rules[key]


def stands(site: Site, client: End, server: End, version: int = 4) -> bool:
    return site.passes(tcp(client, server, ACK, version)) and site.passes(tcp(server, client, ACK, version))


@VERSIONS
@ENDS
@ENDINGS
def test_a_port_used_again_has_the_whole_timeout_again(
    site: Site, version: int, client: End, server: End, ending: list[tuple[str, int]]
) -> None:
    ends = {"client": (client, server), "server": (server, client)}
    for _ in range(LIVES - 1):
        assert all(map(site.passes, handshake(client, server, version)))
        assert all(site.passes(tcp(*ends[who], flags, version)) for who, flags in ending)
        assert CLOSING in {rule.idle_timeout for rule in site.state()}
    assert all(map(site.passes, handshake(client, server, version)))
    forgotten(site, CLOSING)
    assert stands(site, client, server, version)
    assert [rule.idle_timeout for rule in site.state()] == [IDLE]


@ENDS
def test_what_is_closed_is_forgotten_as_soon_as_before(site: Site, client: End, server: End) -> None:
    for _ in range(2):
        assert all(map(site.passes, handshake(client, server)))
        assert site.passes(tcp(client, server, FIN | ACK)) and site.passes(tcp(server, client, FIN | ACK))
    assert stands(site, client, server), "until then"
    forgotten(site, CLOSING)
    assert site.state() == [] and not stands(site, client, server)


@ENDS
def test_half_closed_after_ports_were_used_again(site: Site, client: End, server: End) -> None:
    for _ in range(2):
        assert all(map(site.passes, handshake(client, server)))
        assert site.passes(tcp(client, server, FIN | ACK))
    forgotten(site, OPENING)
    assert stands(site, client, server)


@ENDS
def test_one_life_too_many_has_what_the_one_before_has_left(site: Site, client: End, server: End) -> None:
    for _ in range(3 * LIVES):
        assert all(map(site.passes, handshake(client, server)))
        assert site.passes(tcp(client, server, RST))
        assert len(site.state()) <= 2 * LIVES
    assert all(map(site.passes, handshake(client, server)))
    forgotten(site, OPENING)
    assert stands(site, client, server)
    forgotten(site, CLOSING)
    assert all(map(site.passes, handshake(client, server)))
    forgotten(site, CLOSING)
    assert stands(site, client, server), "begins from the first after a pause"


@ENDS
def test_a_segment_that_is_repeated_is_no_new_life(site: Site, client: End, server: End) -> None:
    opening, answer, acknowledgement = handshake(client, server)
    for frame in (opening, opening, answer, opening, answer, acknowledgement):
        assert site.passes(frame)
    assert len(site.state()) == 2


@ENDS
def test_what_the_datapath_has_cached_of_the_last_connection_need_not_be_seen_of_the_next(
    site: Site, client: End, server: End
) -> None:
    """The tables see the SYN, which no rule forbids to repeat; what acknowledges goes by the flow from before."""
    assert all(map(site.passes, handshake(client, server)))
    assert site.passes(tcp(client, server, RST))
    assert site.passes(tcp(client, server, SYN)) and site.passes(tcp(client, server, SYN))
    forgotten(site, CLOSING)
    assert stands(site, client, server)
    assert {rule.idle_timeout for rule in site.state()} == {IDLE}


def test_nobody_may_begin_on_known_ports_what_the_rules_forbid(site: Site) -> None:
    assert all(map(site.passes, handshake(CLIENT, peer(443))))
    for over in (False, True):
        assert not site.passes(tcp(peer(443), CLIENT, SYN)), "the VM's own connection is none for the peer"
        assert site.passes(tcp(peer(443), CLIENT, ACK))
        if not over:
            assert site.passes(tcp(CLIENT, peer(443), RST))


def test_both_may_begin_at_once(site: Site) -> None:
    """Simultaneous open: each sends a SYN before it has that of the other (RFC 9293 3.5)."""
    frames = [(CLIENT, peer(443), SYN), (peer(443), CLIENT, SYN), (CLIENT, peer(443), SYN | ACK)]
    assert all(site.passes(tcp(*frame)) for frame in frames)
    assert site.passes(tcp(peer(443), CLIENT, SYN | ACK)) and stands(site, CLIENT, peer(443))


def test_a_vm_that_has_all_it_may_have_goes_on_with_the_ports_that_it_has() -> None:
    site = Site()
    vm = site.admit(Vm(7, SMALL))
    client, server = of(vm, 1024), peer(443)
    assert all(map(site.passes, handshake(client, server)))
    assert site.passes(tcp(of(vm, 1025), server, SYN)) and len(site.state()) == LIMIT
    assert site.passes(tcp(client, server, FIN | ACK))
    assert not site.passes(tcp(of(vm, 1026), server, SYN)), "there is no room"
    assert all(map(site.passes, handshake(client, server))) and len(site.state()) == LIMIT


@ENDS
def test_a_carried_connection_of_a_later_life_is_itself(site: Site, client: End, server: End) -> None:
    for flags in (RST, ACK):
        assert all(map(site.passes, handshake(client, server)))
        assert site.passes(tcp(client, server, flags))
    before = sorted(rule.idle_timeout for rule in site.state())
    site.admit(VM, HV2, VdpMode.PREASSOCIATE_RR)
    site.admit(VM, HV2)
    assert sorted(rule.idle_timeout for rule in site.state()) == before
    forgotten(site, CLOSING)
    assert [rule.idle_timeout for rule in site.state()] == [IDLE]
    frames = tcp(client, server, ACK), tcp(server, client, ACK)
    to_vm, from_vm = frames if server is SERVER else frames[::-1]
    assert site.send(NMS, to_vm) == [HV2.port_no] and site.send(HV2, from_vm) == [NMS.port_no]
