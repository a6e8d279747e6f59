"""(f) From the Associate frame to the VDP response, with a thousand multicast groups and with none."""

from __future__ import annotations

from contextlib import closing
from ipaddress import IPv4Address

from bench.figures import Figure, Line, Spread
from bench.rig import CONFIGURED_GROUPS, FIRST_GROUP, GROUPS, SECOND, SNOOPED, Ends, packet_socket
from bench.station import BenchStation, vsi, vsi_mac
from ryu_apps.evb.wire.group_record import GroupRecord, RecordType
from ryu_apps.evb.wire.igmp import Report3
from ryu_apps.evb.wire.membership import MembershipFrame, group_mac
from ryu_apps.evb.wire.vdp import Associate, DeAssociate, PreAssociateRR
from tests.interop.private_ovs import PrivateOvs, wait_for

#: VSIs by what they receive.
_NONE, _JOINED, _CONFIGURED = 0x400, 0x401, 0x402
_TYPES = {_NONE: SNOOPED, _JOINED: SNOOPED, _CONFIGURED: CONFIGURED_GROUPS}
_NAMES = {_NONE: "no group", _JOINED: f"{GROUPS:,} groups, joined", _CONFIGURED: f"{GROUPS:,} groups, configured"}
_OTHER_STATION = 0x525400FF0004
_ALL_ROUTERS = IPv4Address("224.0.0.22")
#: Records that fit into a frame.
_RECORDS = 150
#: Seconds until the bridge has asked a VM that has moved for all its groups, twice.
_SETTLING = 2.5
_WARM_UP = 1


def measure(ovs: PrivateOvs, station: BenchStation, ends: Ends, rounds: int) -> Figure:
    """Interleaved: each VSI moves between two ports, round by round."""
    ovs.add_veth("evb", SECOND, "evb-se0", "evb-se1")
    with closing(packet_socket(ovs, "evb-se1")) as uplink:
        other = BenchStation(uplink, _OTHER_STATION)
        other.agree()
        for number, type_id in _TYPES.items():
            station.ask(vsi(number, Associate, type_id))
        _join(ovs, ends)
        taken: dict[int, list[float]] = {number: [] for number in _TYPES}
        places = [other, station]
        for turn in range(rounds + _WARM_UP):
            for number, sample in taken.items():
                sample.append(_move(places[turn % 2], places[1 - turn % 2], number))
        for number, type_id in _TYPES.items():
            places[(rounds + _WARM_UP - 1) % 2].ask(vsi(number, DeAssociate, type_id))
    return _figure({number: sample[_WARM_UP:] for number, sample in taken.items()})


def _join(ovs: PrivateOvs, ends: Ends) -> None:
    groups = [FIRST_GROUP + number for number in range(GROUPS)]
    for begin in range(0, GROUPS, _RECORDS):
        records = tuple(GroupRecord(RecordType.TO_EXCLUDE, group) for group in groups[begin : begin + _RECORDS])
        source, mac = IPv4Address("10.0.0.2"), vsi_mac(_JOINED)
        frame = MembershipFrame(group_mac(_ALL_ROUTERS), mac, None, source, _ALL_ROUTERS, Report3(records))
        ends.station.send(frame.encode())
    named = {f"nw_dst={group}" for group in groups}
    wait_for(lambda: named <= _copied(ovs), "groups that were joined")


def _copied(ovs: PrivateOvs) -> set[str]:
    """The groups of which a switch sends copies."""
    return {part.split()[0] for flow in ovs.flows("evb") if "table=47" in flow for part in flow.split(",")}


def _move(there: BenchStation, here: BenchStation, number: int) -> float:
    """Stage and associate a VSI at another port; seconds from the Associate to its answer."""
    there.ask(vsi(number, PreAssociateRR, _TYPES[number]))
    taken = there.ask(vsi(number, Associate, _TYPES[number])).seconds
    # It acknowledges the De-Associate of the bridge.
    here.idle(_SETTLING)
    return taken


def _figure(taken: dict[int, list[float]]) -> Figure:
    spreads = {number: Spread.of(1e6 * seconds for seconds in sample) for number, sample in taken.items()}
    base = spreads[_NONE]
    lines = [
        Line(_NAMES[number], spread, None if number == _NONE else spread.p50 / base.p50)
        for number, spread in spreads.items()
    ]
    return Figure("(f) Associate frame to VDP response, by multicast groups", "us", lines, aims=["ratio 1.3 or less"])
