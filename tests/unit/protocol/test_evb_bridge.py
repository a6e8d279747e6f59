"""EVB agreement of a bridge port: what is advertised when, and what is agreed on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.protocol.evb import (
    Advertise,
    Agreed,
    AgreementLost,
    EvbBridgePort,
    EvbOutput,
    EvbState,
    LinkDown,
    LinkUp,
    NeighbourHeard,
    Shutdown,
    Tick,
    documented_rows,
)
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.topology.evb_settings import ReflectiveRelay, Timers
from ryu_apps.evb.wire.evb_tlv import EvbMode, EvbTlv, RrStatus

OURS = Timers(r=3, rte=10, rwd=17, rka=17)
HV1, HV2 = 0x525400000001, 0x525400000002

STATION = EvbTlv(
    bgid=False,
    rrcap=False,
    rrctr=False,
    sgid=False,
    rrreq=False,
    rrstat=RrStatus.UNKNOWN,
    r=3,
    rte=8,
    mode=EvbMode.STATION,
    rol_rwd=False,
    rwd=20,
    rol_rka=False,
    rka=16,
)


def heard(evb: EvbTlv | None = STATION, source: int = HV1, ttl: int = 120) -> NeighbourHeard:
    return NeighbourHeard(evb, source, ttl)


def advertised(outputs: list[EvbOutput]) -> list[EvbTlv]:
    return [output.evb for output in outputs if isinstance(output, Advertise)]


def send_times(port: EvbBridgePort, until: float) -> list[float]:
    """Times at which the port advertises by itself from its next deadline on."""
    times = []
    while port.deadline is not None and port.deadline <= until:
        now = port.deadline
        times += [now] * len(advertised(port.feed(Tick(), now)))
    return times


@pytest.fixture
def port() -> EvbBridgePort:
    """A port whose link came up at 0 and whose fast start is over."""
    port = EvbBridgePort(OURS)
    port.feed(LinkUp(), 0.0)
    send_times(port, 30.0)
    return port


# --- when to send ---------------------------------------------------------------------------------
def test_link_up_starts_four_lldpdus_a_second_apart_and_then_one_every_thirty() -> None:
    port = EvbBridgePort(OURS)

    assert len(advertised(port.feed(LinkUp(), 0.0))) == 1
    assert send_times(port, 100.0) == [1.0, 2.0, 3.0, 33.0, 63.0, 93.0]


def test_a_new_station_starts_them_again(port: EvbBridgePort) -> None:
    assert len(advertised(port.feed(heard(ttl=1000), 40.0))) == 1
    assert send_times(port, 100.0) == [41.0, 42.0, 43.0, 73.0]


def test_an_unchanged_station_is_not_answered(port: EvbBridgePort) -> None:
    port.feed(heard(), 40.0)
    send_times(port, 45.0)

    assert port.feed(heard(), 45.0) == []
    assert send_times(port, 70.0) == []


def test_our_own_half_coming_back_is_no_change(port: EvbBridgePort) -> None:
    port.feed(heard(), 40.0)
    send_times(port, 45.0)

    assert port.feed(heard(replace(STATION, bgid=True, rrcap=True, rol_rka=True)), 45.0) == []
    assert port.deadline == 73.0


def test_a_changed_station_is_answered_once(port: EvbBridgePort) -> None:
    port.feed(heard(), 40.0)
    send_times(port, 45.0)
    port.feed(heard(replace(STATION, rrreq=True)), 45.0)

    assert send_times(port, 70.0) == [45.0]


def test_a_station_that_changes_all_the_time_does_not_set_the_pace(port: EvbBridgePort) -> None:
    port.feed(heard(), 40.0)
    send_times(port, 45.0)
    times = []
    for step in range(100):
        port.feed(heard(replace(STATION, rrreq=step % 2 == 0)), 45.0 + step / 100)
        times += send_times(port, 45.0 + step / 100)

    assert times == [45.0]


def test_a_port_that_is_down_is_silent(port: EvbBridgePort) -> None:
    port.feed(heard(), 40.0)

    assert port.feed(LinkDown(), 41.0) == [AgreementLost("link down")]
    assert port.deadline is None
    assert port.feed(heard(), 41.1) == []


# --- what to send ---------------------------------------------------------------------------------
def test_we_advertise_our_proposal_and_not_the_maximum(port: EvbBridgePort) -> None:
    [evb] = advertised(port.feed(heard(), 40.0))

    assert (evb.r, evb.rte, evb.rwd, evb.rka) == (3, 10, 17, 17)
    assert evb.mode == EvbMode.BRIDGE


def test_rol_says_whose_value_is_in_force(port: EvbBridgePort) -> None:
    [evb] = advertised(port.feed(heard(), 40.0))

    assert (evb.rol_rwd, evb.rol_rka) == (True, False)


def test_the_station_half_is_reflected(port: EvbBridgePort) -> None:
    [evb] = advertised(port.feed(heard(replace(STATION, sgid=True, rrreq=True, rrstat=RrStatus.ACTIVE)), 40.0))

    assert (evb.sgid, evb.rrreq, evb.rrstat) == (True, True, 1)


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("setting", ReflectiveRelay)
def test_reflective_relay_is_as_the_port_has_it_or_as_the_station_asks_for_it(
    setting: ReflectiveRelay, asked: bool
) -> None:
    port = EvbBridgePort(OURS, setting)
    port.feed(LinkUp(), 0.0)

    agreed, advertisement = port.feed(heard(replace(STATION, rrreq=asked)), 1.0)

    on = {ReflectiveRelay.NEVER: False, ReflectiveRelay.AGREED: asked, ReflectiveRelay.ALWAYS: True}[setting]
    assert isinstance(agreed, Agreed)
    assert isinstance(advertisement, Advertise)
    assert agreed.reflective_relay == advertisement.evb.rrctr == on
    assert advertisement.evb.rrcap == (setting is not ReflectiveRelay.NEVER)


# --- what is agreed -------------------------------------------------------------------------------
def test_a_new_station_is_agreed_with(port: EvbBridgePort) -> None:
    [agreed, _] = port.feed(heard(), 40.0)

    assert agreed == Agreed(Operational(3, 10, 20, 17), HV1, reflective_relay=False, groups=False)
    assert port.operational == Operational(3, 10, 20, 17)


def test_without_a_station_our_own_timers_are_in_force(port: EvbBridgePort) -> None:
    assert port.operational == Operational(3, 10, 17, 17)


def test_agreement_is_told_again_only_when_it_changed(port: EvbBridgePort) -> None:
    port.feed(heard(), 40.0)

    assert port.feed(heard(replace(STATION, rrstat=RrStatus.INACTIVE)), 41.0) == []
    [agreed] = port.feed(heard(replace(STATION, rwd=18)), 42.0)
    assert isinstance(agreed, Agreed)
    assert agreed.operational.rwd == 18


@pytest.mark.parametrize("ours", [False, True])
@pytest.mark.parametrize("theirs", [False, True])
def test_groups_need_both_sides(ours: bool, theirs: bool) -> None:
    port = EvbBridgePort(OURS, groups=ours)
    port.feed(LinkUp(), 0.0)

    agreed = port.feed(heard(replace(STATION, sgid=theirs)), 1.0)[0]

    assert isinstance(agreed, Agreed)
    assert agreed.groups == (ours and theirs)


def test_another_station_takes_the_port_over(port: EvbBridgePort) -> None:
    port.feed(heard(), 40.0)

    agreed = port.feed(heard(source=HV2), 41.0)[0]

    assert isinstance(agreed, Agreed)
    assert agreed.station == HV2


# --- losing it ------------------------------------------------------------------------------------
def test_a_station_ages_out_by_its_ttl(port: EvbBridgePort) -> None:
    port.feed(heard(ttl=20), 40.0)
    port.feed(heard(ttl=20), 50.0)

    assert AgreementLost("LLDP neighbour aged out") not in port.feed(Tick(), 69.9)
    assert AgreementLost("LLDP neighbour aged out") in port.feed(Tick(), 70.0)
    assert port.state is EvbState.ALONE


@pytest.mark.parametrize("goodbye", [Shutdown(), heard(ttl=0), heard(evb=None, ttl=0)])
def test_a_station_that_shuts_down_is_lost_at_once(port: EvbBridgePort, goodbye: Shutdown | NeighbourHeard) -> None:
    port.feed(heard(), 40.0)

    assert port.feed(goodbye, 41.0) == [AgreementLost("LLDP shutdown")]


@pytest.mark.parametrize("evb", [None, replace(STATION, mode=EvbMode.BRIDGE)], ids=["no TLV", "mode bridge"])
def test_a_station_that_switches_evb_off_is_lost(port: EvbBridgePort, evb: EvbTlv | None) -> None:
    port.feed(heard(), 40.0)

    assert port.feed(heard(evb), 41.0) == [AgreementLost("EVB switched off")]


@pytest.mark.parametrize("ttl", [0, 120])
def test_a_bystander_without_evb_changes_nothing(port: EvbBridgePort, ttl: int) -> None:
    port.feed(heard(), 40.0)

    assert port.feed(heard(evb=None, source=HV2, ttl=ttl), 41.0) == []
    assert port.state is EvbState.AGREED


def test_a_station_that_comes_back_is_new(port: EvbBridgePort) -> None:
    port.feed(heard(), 40.0)
    port.feed(Shutdown(), 41.0)

    assert any(isinstance(output, Agreed) for output in port.feed(heard(), 42.0))


def test_every_row_can_be_read_aloud() -> None:
    assert all(row.action for row in documented_rows())
