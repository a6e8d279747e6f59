"""In any fabric, after any stagings, joins, moves and leaves: a receiver gets a datagram once; no other port does."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.evb.model import ALL_SOURCES, NO_SOURCES, MulticastGroup, SourceFilter
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.evb.wire.group_record import RecordType
from ryu_apps.evb.wire.membership import group_mac
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import OPEN, VLAN, Vm, World
from tests.worlds.draws import drawn
from tests.worlds.multicast import CONFIGURED, FIXED, SIX, SNOOPED, TWIN, G, S, T, multicast_world, stream, tell, vm

STATIONS, HOST, FIRST_TRUNK = (1, 2), 3, 11
GROUPS: tuple[MulticastGroup, ...] = (G, TWIN, SIX, FIXED)
TYPES = (SNOOPED, CONFIGURED, OPEN)

#: Links between up to five switches: a chain, a star, a ring, and one link twice.
SHAPES: tuple[tuple[tuple[int, int], ...], ...] = (
    ((1, 2), (2, 3), (3, 4), (4, 5)),
    ((1, 2), (1, 3), (1, 4), (1, 5)),
    ((1, 2), (2, 3), (3, 4), (4, 5), (5, 1)),
    ((1, 2), (1, 2), (2, 3), (2, 3)),
)


def fabric_of(links: tuple[tuple[int, int], ...], hosts: frozenset[int]) -> Fabric:
    ports: dict[int, list[Interface]] = {}
    for dpid in sorted({end for link in links for end in link}):
        timers = Timers(rka=30)
        ports[dpid] = [
            Interface(station, f"hv{dpid}{station}", Role.STATION, VLAN, timers=timers) for station in STATIONS
        ]
        if dpid in hosts:
            ports[dpid].append(Interface(HOST, f"host{dpid}", Role.HOST, VLAN, macs=(host_mac(dpid),)))
    for number, (near, other) in enumerate(links):
        here, there = PortId(near, FIRST_TRUNK + number), PortId(other, FIRST_TRUNK + number)
        ports[near].append(Interface(here.port_no, f"s{other}", Role.TRUNK, peer=there))
        ports[other].append(Interface(there.port_no, f"s{near}", Role.TRUNK, peer=here))
    return Fabric(
        {
            dpid: Switch(dpid, f"s{dpid}", {interface.port_no: interface for interface in some})
            for dpid, some in ports.items()
        }
    )


def host_mac(dpid: int) -> int:
    return 0x020000000F00 | dpid


@dataclass
class Model:
    """Ports and memberships of VMs."""

    world: World
    places: dict[int, tuple[PortId, Vm]] = field(default_factory=dict)
    filters: dict[tuple[int, MulticastGroup], SourceFilter] = field(default_factory=dict)
    staged: dict[int, dict[PortId, None]] = field(default_factory=dict)

    def put(self, number: int, port: PortId, kind: int) -> None:
        """A VM starts, moves, or (the same place again) goes on."""
        one = self.places[number][1] if number in self.places else vm(number, TYPES[kind])
        self.world.ask(port, one, VdpMode.PREASSOCIATE_RR)
        self.world.ask(port, one, VdpMode.ASSOCIATE)
        self.places[number] = port, one
        # It runs, so it answers what it is asked at its new place.
        for (owner, group), source_filter in self.filters.items():
            if owner == number and not source_filter.empty:
                kind = RecordType.IS_EXCLUDE if source_filter.exclude else RecordType.IS_INCLUDE
                tell(self.world, port, one, kind, group, *source_filter.sources)

    def stage(self, number: int, port: PortId) -> None:
        """A VM is about to move; it may never do."""
        here, one = self.places[number]
        if port != here:
            self.world.ask(port, one, VdpMode.PREASSOCIATE_RR)
            self.staged.setdefault(number, {})[port] = None

    def take(self, number: int) -> None:
        """A VM goes."""
        here, one = self.places.pop(number)
        for port in {**self.staged.pop(number, {}), here: None}:
            self.world.ask(port, one, VdpMode.DEASSOCIATE)
        self.filters = {key: source_filter for key, source_filter in self.filters.items() if key[0] != number}

    def say(self, number: int, kind: RecordType, group: MulticastGroup, sources: tuple[MulticastGroup, ...]) -> None:
        """A VM tells what it wants."""
        port, one = self.places[number]
        tell(self.world, port, one, kind, group, *sources)
        self.filters[number, group] = SourceFilter(kind is RecordType.TO_EXCLUDE, frozenset(sources))

    def wants(self, number: int, group: MulticastGroup, source: MulticastGroup) -> bool:
        one = self.places[number][1]
        source_filter = self.filters.get((number, group), NO_SOURCES)
        if one.type == OPEN or (one.type == CONFIGURED and group == FIXED):
            source_filter = ALL_SOURCES
        return source_filter.passes(source)

    def expected(self, sender: int, group: MulticastGroup, source: MulticastGroup) -> Counter[tuple[PortId, int]]:
        """Everybody but the sender who wants it."""
        found = Counter(
            (port, guest.mac)
            for number, (port, guest) in self.places.items()
            if guest.mac != sender and self.wants(number, group, source)
        )
        hosts = [port for port in self.world.fabric.ports(Role.HOST) if host_mac(port.dpid) != sender]
        return found + Counter((port, group_mac(group)) for port in hosts)


numbers = st.integers(1, 4)
steps = st.one_of(
    st.tuples(st.just("put"), numbers, st.integers(1, 5), st.sampled_from(STATIONS), st.integers(0, 2)),
    st.tuples(
        st.just("say"),
        numbers,
        st.sampled_from([RecordType.TO_EXCLUDE, RecordType.TO_INCLUDE]),
        st.sampled_from(GROUPS),
        st.sets(st.sampled_from([S, T]), max_size=2),
    ),
    st.tuples(st.just("stage"), numbers, st.integers(1, 5), st.sampled_from(STATIONS)),
    st.tuples(st.just("take"), numbers),
)


@drawn(40)
@given(st.sampled_from(SHAPES), st.frozensets(st.integers(1, 5)), st.lists(steps, min_size=3, max_size=14))
def test_everybody_who_wants_a_datagram_gets_it_once(
    links: tuple[tuple[int, int], ...], hosts: frozenset[int], script: list[tuple[object, ...]]
) -> None:
    fabric = fabric_of(links, hosts)
    model = Model(multicast_world(fabric=fabric))
    empty = model.world.snapshot()
    for step in script:
        match step:
            case ("put", int(number), int(dpid), int(port), int(kind)) if dpid in fabric.switches:
                model.put(number, PortId(dpid, port), kind)
            case ("say", int(number), RecordType() as kind, group, set() as sources) if number in model.places:
                family = sources if group.version == 4 else ()  # type: ignore[attr-defined]
                model.say(number, kind, group, tuple(family))  # type: ignore[arg-type]
                # What is left is given up in its own time.
                model.world.advance(3.0)
            case ("stage", int(number), int(dpid), int(port)) if number in model.places and dpid in fabric.switches:
                model.stage(number, PortId(dpid, port))
            case ("take", int(number)) if number in model.places:
                model.take(number)
    for group in GROUPS:
        for source in (S, T, S + 9) if group.version == 4 else (SIX + 1,):
            check(model, group, source)
    for number in list(model.places):
        model.take(number)
    assert model.world.snapshot() == empty


def check(model: Model, group: MulticastGroup, source: MulticastGroup) -> None:
    senders = {guest.mac: (port, guest.address) for port, guest in model.places.values()}
    senders |= {host_mac(port.dpid): (port, source) for port in model.world.fabric.ports(Role.HOST)}
    for sender, (port, address) in senders.items():
        source = address if group.version == 4 else source
        arrived = Counter((arrival.port, arrival.dst) for arrival in stream(model.world, port, sender, group, source))
        # Without reflective relay nothing returns to the port that it came from.
        expected = Counter({place: n for place, n in model.expected(sender, group, source).items() if place[0] != port})
        assert arrived == expected
