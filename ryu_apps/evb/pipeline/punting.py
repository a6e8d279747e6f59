"""Rules and meters for frames of station protocols that go to the controller.

At the port of a known station the frames with its source address have a meter of their own.  Frames of other
senders behind the same uplink, mostly guests, have separate meters with a much lower rate: enough for the LLDP of a
new station that replaces the old one, and for counting guests that send ECP, which are not answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ryu_apps.evb.flow.actions import CONTROLLER, Action, Output
from ryu_apps.evb.flow.match import MatchFields, match
from ryu_apps.evb.flow.rule import Meter, MeterUnit, Rule
from ryu_apps.evb.pipeline.bonds import noting
from ryu_apps.evb.pipeline.tables import CookieKind, Priority, Table, cookie
from ryu_apps.evb.topology.interface import Interface, Role

ETHERTYPE_LLDP, ETHERTYPE_ECP, ETHERTYPE_DRAFT_ECP = 0x88CC, 0x8940, 0x88B7
#: LLDP, ratified ECP, and the draft's ECP (punted only to be counted and refused).
STATION_PROTOCOLS = (ETHERTYPE_LLDP, ETHERTYPE_ECP, ETHERTYPE_DRAFT_ECP)
RESERVED_ADDRESSES = (0x0180C2000000, 0xFFFFFFFFFFF0)

#: Rate (frames a second) and burst of one station to the controller.  Keep-alives of 300 VSIs need about 500 a
#: second.  ECP is stop and wait, so a correct station has one or two frames in flight; other stations wait for a burst
#: to be processed, at about 0.35 ms a request.
PUNT_RATE, PUNT_BURST = 1000, 100
#: The same for LLDP and for ECP of other senders at the port of a known station, and for draft ECP of any sender.
STRANGER_RATE, STRANGER_BURST = 10, 10
#: The same for general queries (IGMP, MLD) from a host port and for LLDP from another switch.  Queries above the rate
#: are not forwarded either, because a meter drops the whole frame.
QUERY_RATE, QUERY_BURST = 10, 20

#: Meters of other senders, for LLDP and for ECP: this plus the port number.
STRANGERS = 0x20000, 0x30000
_PORT_BITS = 0xFFFF
#: Rates, bursts and units of the meters of ports, by what is added to the port number.
_FORMS = {
    0: ((PUNT_RATE, PUNT_BURST, MeterUnit.PACKETS), (QUERY_RATE, QUERY_BURST, MeterUnit.PACKETS)),
    **dict.fromkeys(STRANGERS, ((STRANGER_RATE, STRANGER_BURST, MeterUnit.PACKETS),)),
}
#: Rules of a known station in addition to those of its port.
MORE_RULES = 2


def punting_meters(interface: Interface) -> Iterator[Meter]:
    """The meters of a port, if its switch has meters; they exist whether rules refer to them or not."""
    if not interface.metered or interface.role is Role.MIRROR:
        return
    if interface.role is Role.STATION:
        yield Meter(interface.port_no, PUNT_RATE, PUNT_BURST)
    elif interface.role is not Role.VSI:
        yield Meter(interface.port_no, QUERY_RATE, QUERY_BURST)
        return
    for strangers in STRANGERS:
        yield Meter(strangers + interface.port_no, STRANGER_RATE, STRANGER_BURST)


def is_of_port(meter: Meter) -> bool:
    """True for a meter of a port, of whatever role; one of another application with such an id has other rates."""
    port_no = meter.meter_id & _PORT_BITS
    form = meter.rate, meter.burst, meter.unit
    return port_no > 0 and form in _FORMS.get(meter.meter_id - port_no, ())


def punting(interface: Interface, station: int | None) -> Iterator[Rule]:
    """The rules that take a port's LLDP and ECP to the controller.

    The rules for frames of any source are the same for every ``station`` but for their meters.

    Args:
        station: MAC address of the known station at the port, 48 bits; None if none is known.
    """
    for rule in _punting(interface, station):
        yield rule if interface.metered else replace(rule, meter=None)


def _punting(interface: Interface, station: int | None) -> Iterator[Rule]:
    own = interface.port_no
    if interface.role is Role.TRUNK:
        yield _punt(interface, ETHERTYPE_LLDP, own)
    elif interface.role is Role.VSI:
        # A VM that speaks as a station does: only to be counted.
        for ethertype in STATION_PROTOCOLS:
            yield _punt(interface, ethertype, STRANGERS[ethertype != ETHERTYPE_LLDP] + own)
    elif interface.role is Role.STATION:
        for ethertype in STATION_PROTOCOLS:
            strangers = STRANGERS[ethertype != ETHERTYPE_LLDP]
            # Draft ECP is refused from any sender: a few frames a second are enough to count and log it.
            slow = station is not None or ethertype == ETHERTYPE_DRAFT_ECP
            yield _punt(interface, ethertype, strangers + own if slow else own)
        for ethertype in (ETHERTYPE_LLDP, ETHERTYPE_ECP) if station is not None else ():
            yield _punt(interface, ethertype, own, source=station)


def stations_punted(rules: Iterable[Rule]) -> Iterator[tuple[int, int]]:
    """Port number and MAC address of the stations for which a switch holds punting rules."""
    for rule in rules:
        fields = {field.name: field.value for field in rule.match}
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
    apply: tuple[Action, ...] = (Output(CONTROLLER),)
    if source is not None:
        fields["eth_src"], priority = source, Priority.GUARD
        # Not LLDP: a station may send it by links too that it does not use.
        apply = (*noting(interface), *apply) if ethertype == ETHERTYPE_ECP else apply
    owner = cookie(CookieKind.INFRASTRUCTURE)
    return Rule(Table.ADMIT, priority, match(**fields), owner, apply, meter=meter)
