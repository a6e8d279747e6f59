"""One port floods: the switch meters what it punts, other stations are answered, other VMs lose nothing.

How long answers take in the quiet and in the flood is printed (``pytest -s``), not judged: the machine may be busy.
"""

from __future__ import annotations

import random
import re
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from urllib.error import HTTPError

import pytest

from mininet_tests.conftest import SHORT
from ryu_apps.evb.pipeline.punting import (
    PUNT_BURST,
    PUNT_RATE,
    QUERY_BURST,
    QUERY_RATE,
    STRANGER_BURST,
    STRANGER_RATE,
    STRANGERS,
)
from ryu_apps.evb.protocol.timers import agree
from ryu_apps.evb.topology.interface import Role
from ryu_apps.evb.wire.association import Associate
from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.ethernet import (
    ETHERTYPE_DRAFT_ECP,
    ETHERTYPE_ECP,
    ETHERTYPE_LLDP,
    NEAREST_CUSTOMER_BRIDGE,
    Frame,
)
from ryu_apps.evb.wire.evb_tlv import EvbMode, EvbTlv, RrStatus
from ryu_apps.evb.wire.filter_info import FilterInfo, MacVid
from ryu_apps.evb.wire.lldp import bridge_lldpdu
from ryu_apps.evb.wire.mac import mac_from_text
from ryu_apps.evb.wire.status import RequestStatus
from ryu_apps.evb.wire.vdp import Association, ManagerId, VdpMode, VdpPdu
from ryu_apps.evb.wire.vsi_id import VsiId
from ryu_apps.testbed.emulator import association
from ryu_apps.testbed.guests import WEB, running, vsi
from ryu_apps.testbed.harness.cluster import Cluster, Hypervisor
from ryu_apps.testbed.harness.probes import Flow, Prober, UdpNotes, judge, settle
from ryu_apps.testbed.harness.shell import PATIENCE, run, wait_until
from ryu_apps.testbed.harness.station import VdptoolMode, VdptoolVsi
from ryu_apps.testbed.harness.vm import INTERFACE, NamespaceVm
from ryu_apps.testbed.raw_frames import Flood, RawSocket

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

FLOODER, ROUNDS = "hv1", 30
#: VSIs of the flooder, in the flood of keep-alives.
KNOWN = 200
#: Frames a second and frames in all: about two seconds.
RATE, COUNT = 10_000, 20_000
BROADCAST, STRANGER = 0xFFFFFFFFFFFF, 0x02DEAD000001
PROBE_INTERVAL = 0.005
#: Seconds for which a station may be silent.
KEEP_ALIVE = agree(SHORT, SHORT).keep_alive_timeout
#: Seconds within which a station is answered of which the flood's meter has dropped a request, repetitions and all: it
#: requests nothing more of that VSI before it gives the answer up.
SERVED = agree(SHORT, SHORT).response_wait + PATIENCE


# --- what floods are made of ---------------------------------------------------------------------
def ecp(source: int) -> list[bytes]:
    """Requests for many VSIs of a type nobody knows: each costs a decision and an answer."""
    pdus = [VdpPdu(ManagerId(), (_unknown(number),)) for number in range(500)]
    return [
        _to_bridge(source, ETHERTYPE_ECP, Ecpdu(EcpOp.REQUEST, 1, number, pdu.encode()).encode())
        for number, pdu in enumerate(pdus, start=1)
    ]


def packed(source: int) -> list[bytes]:
    """The same, twenty requests in an ECPDU: what costs one frame of the meter's costs twenty decisions."""
    return _packed(source, [_unknown(number) for number in range(2000)])


def repeated(source: int) -> list[bytes]:
    """Keep-alives of VSIs, over and over."""
    return _packed(source, [_wanted(number) for number in range(KNOWN)])


def churned(source: int) -> list[bytes]:
    """VSIs that come and go, over and over, twenty in an ECPDU: each is a change of every switch."""
    coming = [_wanted(number) for number in range(2 * KNOWN)]
    going = [tlv.as_mode(VdpMode.DEASSOCIATE, RequestStatus()) for tlv in coming]
    halves = (slice(KNOWN), slice(KNOWN, None))
    return _packed(source, [tlv for half in halves for tlvs in (coming, going) for tlv in tlvs[half]])


def _packed(source: int, tlvs: Sequence[Association]) -> list[bytes]:
    pdus = [VdpPdu(ManagerId(), tuple(tlvs[at : at + 20])) for at in range(0, len(tlvs), 20)]
    return [
        _to_bridge(source, ETHERTYPE_ECP, Ecpdu(EcpOp.REQUEST, 1, number, pdu.encode()).encode())
        for number, pdu in enumerate(pdus, start=1)
    ]


def _wanted(number: int) -> Associate:
    vsi_id = VsiId.from_text(f"00000000-0000-4000-9000-{number:012d}")
    return Associate(RequestStatus(), *WEB, vsi_id, FilterInfo.of(MacVid(100, 0x525400EF0000 | number)))


def _unknown(number: int) -> Associate:
    vsi_id = VsiId.from_text(f"00000000-0000-4000-8000-{number:012d}")
    return Associate(RequestStatus(), 99, 1, vsi_id, FilterInfo.of(MacVid(100, 0x525400EE0000 | number)))


def lldp(source: int) -> list[bytes]:
    """A station that changes its mind about the timers with every frame."""
    tlvs = [EvbTlv(mode=EvbMode.STATION, rrstat=RrStatus.UNKNOWN, r=3, rte=rte, rwd=17, rka=17) for rte in (10, 11)]
    return [_to_bridge(source, ETHERTYPE_LLDP, bridge_lldpdu(source, "x", 120, tlv).encode()) for tlv in tlvs]


def draft_ecp(source: int) -> list[bytes]:
    return [_to_bridge(source, ETHERTYPE_DRAFT_ECP, bytes(46))]


def arp(source: int) -> list[bytes]:
    return [Frame(BROADCAST, source, 0x0806, bytes(46)).encode()]


def unknown_unicast(source: int) -> list[bytes]:
    return [Frame(0x525400FF0000 | number, source, 0x0800, bytes(46)).encode() for number in range(256)]


def garbage(source: int) -> list[bytes]:
    chance = random.Random(1)
    targets = (NEAREST_CUSTOMER_BRIDGE, 0x0180C200000E, BROADCAST, 0x33330000FFFF)
    # Under 0x600 it is a length; tags, LLDP and ECP have floods of their own.
    types = [
        ethertype
        for ethertype in chance.sample(range(0x0600, 0x10000), 300)
        if ethertype not in PUNTED and ethertype != 0x8100
    ]
    return [Frame(chance.choice(targets), source, ethertype, chance.randbytes(46)).encode() for ethertype in types]


def _to_bridge(source: int, ethertype: int, payload: bytes) -> bytes:
    return Frame(NEAREST_CUSTOMER_BRIDGE, source, ethertype, payload).encode(pad=True)


PUNTED = (ETHERTYPE_LLDP, ETHERTYPE_ECP, ETHERTYPE_DRAFT_ECP)
#: Name -> frames, whether the station itself sends them, whether they are for the controller.
FLOODS = {
    "ECP of the station": (ecp, True, True),
    "ECP, twenty requests each": (packed, True, True),
    "ECP, known VSIs over and over": (repeated, True, True),
    "ECP, VSIs that come and go": (churned, True, True),
    "ECP of a stranger": (ecp, False, True),
    "LLDP of the station": (lldp, True, True),
    "LLDP of a stranger": (lldp, False, True),
    "draft ECP": (draft_ecp, True, True),
    "ARP broadcast": (arp, True, False),
    "unknown unicast": (unknown_unicast, True, False),
    "unknown EtherTypes": (garbage, True, False),
}


# --- whom it must not hurt ------------------------------------------------------------------------
class Probe:
    """Datagrams both ways between two VMs, all of which have to arrive."""

    def __init__(self, one: NamespaceVm, other: NamespaceVm, folder: Path) -> None:
        self._flow = Flow("quic", "udp", one.name, other.name, 443, PROBE_INTERVAL, True)
        self._ends = [Prober(vm.name, vm.namespace, vm.ip, folder) for vm in (one, other)]
        self._peers = {vm.name: vm.ip for vm in (one, other)}

    def __enter__(self) -> Probe:
        for end in self._ends:
            end.start([self._flow], self._peers)
        for end in self._ends:
            end.wait_heard()
        return self

    def __exit__(self, *_: object) -> None:
        finish = time.monotonic()
        settle(self._ends)
        notes = [end.stop()[self._flow.name] for end in self._ends]
        here, there = (note for note in notes if isinstance(note, UdpNotes))
        # What was sent before the other end had an address was never under way.
        begin = max(end.heard[0][2] for end in (here, there))
        self.windows = [judge(*ends, begin, begin, finish) for ends in ((here, there), (there, here))]

    @property
    def lost(self) -> int:
        return sum(window.lost for window in self.windows)

    @property
    def sent(self) -> int:
        return sum(window.sent for window in self.windows)


def rounds(cluster: Cluster, hypervisor: str, number: int, times: int = ROUNDS) -> list[float]:
    """Associate and leave again and again; how long each answer took, in milliseconds.  Refusals fail."""
    station, taken = cluster.hypervisors[hypervisor].station, []
    for _ in range(times):
        for mode in (VdptoolMode.PREASSOCIATE_RR, VdptoolMode.ASSOCIATE, VdptoolMode.DEASSOCIATE):
            answer = station.request(mode, vsi(number))
            assert answer.granted, f"{hypervisor} {mode.value}: {answer.reason}"
            taken.append((answer.answered - answer.asked) * 1000)
    return taken


def figure(name: str, taken: list[float]) -> str:
    """One line of figures, in milliseconds."""
    return f"{name:24} median {median(taken):6.2f}  p95 {quantiles(taken, n=20)[-1]:6.2f}  max {max(taken):6.2f} ms"


# --- what the switch says -------------------------------------------------------------------------
def meters(switch: str) -> dict[int, tuple[int, int]]:
    """Meter -> frames that came to it, frames it dropped."""
    text = run(["ovs-ofctl", "-O", "OpenFlow13", "meter-stats", switch])
    found = re.findall(r"meter:(\d+).*?packet_in_count:(\d+).*?0: packet_count:(\d+)", text, re.DOTALL)
    return {int(meter): (int(came), int(dropped)) for meter, came, dropped in found}


def punted(switch: str) -> tuple[list[tuple[int, str, bool, int]], list[str]]:
    """Rules that send to the controller: port, ethertype, match on a source and meter of LLDP and ECP; other rules."""
    protocols = re.compile(r"in_port=(\d+),.*dl_type=0x(88cc|8940|88b7) actions=meter:(\d+),CONTROLLER")
    flows = run(["ovs-ofctl", "-O", "OpenFlow13", "--no-names", "dump-flows", switch]).splitlines()
    punting = {line: protocols.search(line) for line in flows if "CONTROLLER" in line}
    spoken = [(int(found[1]), found[2], "dl_src=" in line, int(found[3])) for line, found in punting.items() if found]
    return spoken, [line for line, found in punting.items() if not found]


def agreed_with_all(switch: str, rules: int) -> tuple[list[tuple[int, str, bool, int]], list[str]] | None:
    """As :func:`punted`; None until there are so many rules."""
    found = punted(switch)
    return found if len(found[0]) == rules else None


def test_every_station_port_is_metered_and_nothing_else_is_punted(emulated: Cluster) -> None:
    for switch in emulated.fabric.switches.values():
        text = run(["ovs-ofctl", "-O", "OpenFlow13", "dump-meters", switch.name])
        found = re.findall(r"meter=(\d+) pktps burst bands=\s+type=drop rate=(\d+) burst_size=(\d+)", text)
        ports = {
            role: [interface.port_no for interface in switch.interfaces.values() if interface.role is role]
            for role in Role
        }
        stations, hosts, trunks = ports[Role.STATION], ports[Role.HOST], ports[Role.TRUNK]
        assert sorted(tuple(map(int, meter)) for meter in found) == [
            *((port, PUNT_RATE, PUNT_BURST) for port in stations),
            *((port, QUERY_RATE, QUERY_BURST) for port in sorted([*hosts, *trunks])),
            *((apart + port, STRANGER_RATE, STRANGER_BURST) for apart in STRANGERS for port in stations),
        ]
        # Emulated stations are agreed with: of each its own, and apart from that everything else.
        apart = {"88cc": STRANGERS[0], "8940": STRANGERS[1], "88b7": STRANGERS[1]}
        expected = {
            *((port, "88cc", False, port) for port in trunks),
            *((port, protocol, True, port) for port in stations for protocol in ("88cc", "8940")),
            *((port, protocol, False, base + port) for port in stations for protocol, base in apart.items()),
        }
        spoken, queries = wait_until(partial(agreed_with_all, switch.name, len(expected)), "all stations")
        assert set(spoken) == expected
        assert queries and all(re.search(r"in_port=(\d+),.* actions=meter:\1,CONTROLLER", line) for line in queries)
        assert {int(re.findall(r"in_port=(\d+)", line)[0]) for line in queries} == set(hosts)


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_costs_others_nothing(emulated: Cluster, tmp_path: Path, name: str) -> None:
    make, own, punted = FLOODS[name]
    home = emulated.hypervisors[FLOODER]
    before = meters("s1")
    with (
        running(emulated, 1, "hv3") as one,
        running(emulated, 2, "hv6") as other,
        RawSocket(home.namespace, home.uplink) as w,
    ):
        quiet = rounds(emulated, "hv2", 3)
        source = int.from_bytes(w.socket.getsockname()[4]) if own else STRANGER
        if make is repeated:
            associate(emulated, w, make(source))
        flood = Flood(w, make(source), RATE, COUNT)
        with Probe(one, other, tmp_path) as probe, flood.raging():
            wait_until(lambda: flood.sent > 200, "the flood")
            near, far = rounds(emulated, "hv2", 3), rounds(emulated, "hv5", 4)
            for guest, place in ((1, "hv3"), (2, "hv6")):
                assert emulated.hypervisors[place].station.holds(VdptoolMode.ASSOCIATE, vsi(guest))
        assert flood.sent > 1000
        forget(emulated, home)
    print()
    print(figure("quiet", quiet))
    print(figure(name, near))
    print(figure("at the other switch", far))
    assert probe.sent > 50
    assert probe.lost == 0
    after = meters("s1")
    came = {port: after[port][0] - before[port][0] for port in after}
    of_home = {apart + home.port.port_no for apart in (0, *STRANGERS)}
    assert (sum(came[meter] for meter in of_home) > 1000) == punted
    assert not any(after[meter][1] for meter in after if meter not in of_home)


def associate(cluster: Cluster, wire: RawSocket, frames: list[bytes]) -> None:
    """Requests that the flood will repeat, at a rate that switches can follow; until then they are keep-alives."""
    repeated = time.monotonic()

    def are_there(number: int) -> bool:
        nonlocal repeated
        if time.monotonic() > repeated + KEEP_ALIVE / 4:
            repeated = time.monotonic()
            for frame in frames[:number]:
                wire.send(frame)
        return flooders(cluster) >= 20 * number

    for number, frame in enumerate(frames, start=1):
        wire.send(frame)
        wait_until(partial(are_there, number), "VSIs of the flooder")


def flooders(cluster: Cluster) -> int:
    """VSIs of the flooder that are active."""
    return sum(
        listed["vsi"][19:23] == "9000" and bool(listed["owner"]) for listed in cluster.controller.get("/evb/vsis")
    )


def forget(cluster: Cluster, home: Hypervisor) -> None:
    """De-associate the flood's VSIs at its own port; the port is served again."""
    for listed in cluster.controller.get("/evb/vsis"):
        if listed["vsi"].startswith("00000000-0000-4000-9000"):
            with suppress(HTTPError):  # it has expired meanwhile
                cluster.controller.delete(f"/evb/vsis/{listed['vsi']}")
    serve(home)


def serve(home: Hypervisor) -> None:
    """Wait until a station is served again after a flood in its name."""
    wait_until(lambda: home.station.request(VdptoolMode.ASSOCIATE, vsi(5)).granted, "an answer", SERVED)
    assert home.station.request(VdptoolMode.DEASSOCIATE, vsi(5)).granted


def test_octets_that_are_no_openflow_messages_fill_no_log(emulated: Cluster) -> None:
    log = emulated.controller.log
    before = log.stat().st_size
    for junk in (bytes((4, 77, 0, 8, 0, 0, 0, 9)) * 40_000, b"GET / HTTP/1.1\r\n" * 20_000):
        wire = socket.create_connection(("127.0.0.1", emulated.controller.port), timeout=5)
        with wire, suppress(OSError):  # closed, which is as well
            wire.sendall(bytes((4, 0, 0, 8, 0, 0, 0, 1)) + junk)
            wire.shutdown(socket.SHUT_WR)
            while wire.recv(1 << 16):
                pass
    assert rounds(emulated, "hv2", 3, times=3)
    assert log.stat().st_size - before < 20_000
    assert "Traceback" not in log.read_text(encoding="utf-8", errors="replace")


def test_the_flooder_itself_is_served_again_when_it_has_calmed_down(emulated: Cluster) -> None:
    home = emulated.hypervisors[FLOODER]
    with RawSocket(home.namespace, home.uplink) as wire:
        flood = Flood(wire, ecp(int.from_bytes(wire.socket.getsockname()[4])), RATE, RATE)
        with flood.raging():
            wait_until(lambda: flood.sent >= RATE, "the flood")
    serve(home)
    assert [listed["vsi"] for listed in emulated.controller.get("/evb/vsis")] == []


# --- guests behind one uplink -----------------------------------------------------------------------
def ended(cluster: Cluster, since: float) -> list[str]:
    """VSIs that the bridge has ended."""
    return [
        event["vsi"]
        for event in cluster.controller.get(f"/evb/events?since={since}")
        if event["kind"] == "vdp.announce"
    ]


def heard_since(cluster: Cluster) -> float:
    return float(cluster.controller.get("/evb/events")[-1]["t"])


@pytest.mark.parametrize("make", [ecp, lldp, draft_ecp])
def test_a_guest_that_speaks_ecp_ends_no_vsi_of_its_neighbours(
    emulated: Cluster, make: Callable[[int], list[bytes]]
) -> None:
    home = emulated.hypervisors[FLOODER]
    neighbours = range(11, 16)
    with ExitStack() as guests:
        flooder = guests.enter_context(running(emulated, 10, FLOODER))
        for number in neighbours:
            guests.enter_context(running(emulated, number, FLOODER))
        since, before = heard_since(emulated), meters("s1")
        source = mac_from_text(flooder.mac)
        with RawSocket(flooder.namespace, INTERFACE) as wire:
            flood, begun = Flood(wire, make(source), 20_000, 400_000), time.monotonic()
            with flood.raging():
                # Longer than a station may be silent, and its keep-alives are among these frames.
                wait_until(lambda: time.monotonic() > begun + KEEP_ALIVE and flood.sent >= 60_000, "the flood", 60)
                asked = rounds(emulated, FLOODER, 16, times=3)
        after = meters("s1")
        assert ended(emulated, since) == []
        assert all(home.station.holds(VdptoolMode.ASSOCIATE, vsi(number)) for number in neighbours)
    print()
    print(figure(f"{make.__name__} of a neighbour", asked))
    assert after[home.port.port_no][1] == before[home.port.port_no][1], "the station's own meter has dropped something"
    apart = [base + home.port.port_no for base in STRANGERS]
    assert sum(after[meter][1] - before[meter][1] for meter in apart) > 1_000


def letting_go(victim: VdptoolVsi, station: int) -> bytes:
    """A De-Associate of a neighbour, in the name of the station."""
    pdu = VdpPdu(ManagerId(victim.manager.encode().ljust(16, b"\0")), (association(VdptoolMode.DEASSOCIATE, victim),))
    return _to_bridge(station, ETHERTYPE_ECP, Ecpdu(EcpOp.REQUEST, 1, 4711, pdu.encode()).encode())


def test_a_hypervisor_can_keep_its_guests_from_speaking_as_its_station(emulated: Cluster) -> None:
    home = emulated.hypervisors[FLOODER]
    with RawSocket(home.namespace, home.uplink) as uplink:
        own = int.from_bytes(uplink.socket.getsockname()[4])

    def heard(number: int, since: float) -> list[str]:
        events = emulated.controller.get(f"/evb/events?since={since}")
        asked = [event for event in events if event["kind"] == "vdp.request" and event["vsi"] == vsi(number).uuid]
        return [event["detail"]["mode"] for event in asked]

    with running(emulated, 10, FLOODER) as guest, running(emulated, 11, FLOODER), running(emulated, 12, FLOODER):
        since = heard_since(emulated)
        with RawSocket(guest.namespace, INTERFACE) as wire:
            wire.send(letting_go(vsi(11), own))
            wait_until(lambda: "DEASSOCIATE" in heard(11, since), "the bridge to believe a guest")
            home.edge.guard(guest.port)
            wire.send(letting_go(vsi(12), own))
        # What the station asks behind it comes behind it.
        rounds(emulated, FLOODER, 16, times=1)
        assert heard(12, since) == []
        assert home.station.holds(VdptoolMode.ASSOCIATE, vsi(12))
