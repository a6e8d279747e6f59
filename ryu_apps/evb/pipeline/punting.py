"""What of a port goes to the controller, and how much of it.

Where the station is known, only what has its address is taken as its word, with a meter of its own.  What others behind
the same uplink send, guests above all, has meters apart and far smaller: a new station must be able to make itself
known when the old one has gone, and a guest that tries to speak ECP is to be noticed, not served.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ryu_apps.evb.flow.rule import CONTROLLER, MatchFields, Meter, Output, Rule, match
from ryu_apps.evb.pipeline.tables import CookieKind, Priority, Table, cookie
from ryu_apps.evb.topology.fabric import Interface, Role

ETHERTYPE_LLDP, ETHERTYPE_ECP, ETHERTYPE_DRAFT_ECP = 0x88CC, 0x8940, 0x88B7
#: LLDP, ratified ECP, and the draft's ECP (punted only to be counted and refused).
STATION_PROTOCOLS = (ETHERTYPE_LLDP, ETHERTYPE_ECP, ETHERTYPE_DRAFT_ECP)
RESERVED_ADDRESSES = (0x0180C2000000, 0xFFFFFFFFFFF0)

#: Frames a second that one station may send to the controller, and how many at once.  Keep-alives of 300 VSIs
#: need about 500 a second.  ECP is stop and wait, so an honest station has one or two frames under way; a burst is
#: what others wait behind, at a good third of a millisecond a request.
PUNT_RATE, PUNT_BURST = 1000, 100
#: The same for LLDP, and for ECP, of everything else at the port of a known station, and for draft ECP of all.
STRANGER_RATE, STRANGER_BURST = 10, 10
#: General queries (IGMP, MLD) a second from a host port, and LLDP from another switch, and how many at once; of queries
#: what is more is not forwarded either.
QUERY_RATE, QUERY_BURST = 10, 20

#: Meters of strangers, for LLDP and for ECP: this and the port number.
STRANGERS = 0x20000, 0x30000
#: Rules that a known station needs besides those of its port.
MORE_RULES = 2


def punting_meters(interface: Interface) -> Iterator[Meter]:
    """The meters of a port; which of them are used changes, that they are there does not."""
    if interface.role is not Role.STATION:
        yield Meter(interface.port_no, QUERY_RATE, QUERY_BURST)
        return
    yield Meter(interface.port_no, PUNT_RATE, PUNT_BURST)
    for strangers in STRANGERS:
        yield Meter(strangers + interface.port_no, STRANGER_RATE, STRANGER_BURST)


def punting(interface: Interface, station: int | None) -> Iterator[Rule]:
    """The rules that take a port's LLDP and ECP to the controller.

    The rules for frames of any source are the same for every ``station`` but for their meters.

    Args:
        station: MAC address of the station that is known at the port, 48 bits; None: of none.
    """
    own = interface.port_no
    if interface.role is Role.TRUNK:
        yield _punt(interface, ETHERTYPE_LLDP, own)
    elif interface.role is Role.STATION:
        for ethertype in STATION_PROTOCOLS:
            strangers = STRANGERS[ethertype != ETHERTYPE_LLDP]
            # Whoever sends it, draft ECP is refused: a few frames a second are enough to be counted and told of.
            apart = station is not None or ethertype == ETHERTYPE_DRAFT_ECP
            yield _punt(interface, ethertype, strangers + own if apart else own)
        for ethertype in (ETHERTYPE_LLDP, ETHERTYPE_ECP) if station is not None else ():
            yield _punt(interface, ethertype, own, source=station)


def stations_punted(rules: Iterable[Rule]) -> Iterator[tuple[int, int]]:
    """Port number and address of the stations that a switch was told of, by the rules that it holds."""
    for rule in rules:
        fields = {one.name: one.value for one in rule.match}
        if (rule.table, rule.priority, fields.get("eth_type")) == (Table.ADMIT, Priority.GUARD, ETHERTYPE_ECP):
            yield fields["in_port"], fields["eth_src"]


def _punt(interface: Interface, ethertype: int, meter: int, source: int | None = None) -> Rule:
    fields: MatchFields = {
        "in_port": interface.port_no,
        "vlan_vid": 0,
        "eth_dst": RESERVED_ADDRESSES,
        "eth_type": ethertype,
    }
    priority = Priority.EXACT
    if source is not None:
        fields["eth_src"], priority = source, Priority.GUARD
    owner = cookie(CookieKind.INFRASTRUCTURE)
    return Rule(Table.ADMIT, priority, match(**fields), owner, (Output(CONTROLLER),), meter=meter)
