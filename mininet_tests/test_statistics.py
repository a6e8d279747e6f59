"""Counters of the bridge compared with those of the VM's own interface: at rest and during a move."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import count, pairwise
from typing import Any, NamedTuple

import pytest

from mininet_tests.conftest import tables, wait_as_found
from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.flow.rule import FIRST_COUNTER
from ryu_apps.evb.pipeline.punting import STATION_PROTOCOLS
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.testbed.emulator import EmulatedStation, StationLoop
from ryu_apps.testbed.harness.capture import Tap, only_ethertypes
from ryu_apps.testbed.harness.cluster import Cluster, EndHost
from ryu_apps.testbed.harness.probes import Flow, Prober, UdpNotes
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import run, wait_until
from ryu_apps.testbed.harness.station import VdptoolMode, VdptoolVsi
from ryu_apps.testbed.harness.vm import INTERFACE, NamespaceVm
from ryu_apps.testbed.moves.attempt import admit, dismiss
from ryu_apps.testbed.moves.evidence import Marks, MoveOutcome
from ryu_apps.testbed.moves.observers import StepCallbacks
from ryu_apps.testbed.moves.single import SingleMove
from ryu_apps.topologies import two_switch
from ryu_apps.vcm.move_events import LIVE_LADDERS, Ladder

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

SOURCE, THERE, BESIDE = "hv1", "hv5", "hv2"
#: Ports of the probes: from both end systems, and one that is refused both ways.
NEAR, FAR, REFUSED = 5001, 5002, 5003
#: A probe every so many seconds, each way, on each of the three.
INTERVAL = 0.002
#: Seconds around the time in which a VM is nowhere, in which a frame may have been on its way.
MARGIN = 0.01
#: Seconds between two samples.
SAMPLE = 0.1
#: Octets of the longest frame that a VM is sent here.
LONGEST = 100

PLAIN, RULES, RULES_2, BY_NMS = (50, 1), (51, 1), (51, 2), (52, 1)
_SECTIONS = {PLAIN: "{}", RULES: "{per_rule: true}", RULES_2: "{per_rule: true}", BY_NMS: "{extraction: nms}"}
_ACL = """
from_vm:
  default: deny
  rules:
    - rule: {udp_dst: 5001, actions: {allow: 1}, description: near}
    - rule: {udp_dst: 5002, actions: {allow: 1}, description: far}
    - rule: {udp_dst: 5003, actions: {allow: 0}, description: nothing}
to_vm:
  default: deny
  rules:
    - rule: {udp_dst: [5001, 5002], actions: {allow: 1}, description: both}
"""


class Counted(NamedTuple):
    """Frames and octets."""

    packets: int
    octets: int


class Counters(NamedTuple):
    """Of an interface, or of a VSI as REST tells them (``sent``: what was refused included)."""

    sent: Counted
    given: Counted


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("statistics")
    types = folder / "types"
    types.mkdir()
    for (number, version), section in _SECTIONS.items():
        head = f"version: 1\nvsi_type: {{type_id: {number}, version: {version}, name: counted}}\n"
        text = f"{head}statistics: {section}{_ACL}"
        (types / f"{number}-{version}.yaml").write_text(text, encoding="utf-8")
    fabric = two_switch.fabric(8)
    config = dump_config(BridgeConfig(fabric, (str(types),), state_dir=str(folder / "state")))
    # Long enough for a controller to come back.
    with inside(), closing(StationLoop()) as loop:
        station = partial(EmulatedStation, loop, timers=Timers(rwd=20, rka=20))
        with Cluster(fabric, two_switch.END_SYSTEMS, folder, config, station=station) as cluster:
            yield cluster
            wait_until(lambda: not counters(cluster), "counters to go", pause=0.2)


@pytest.fixture(scope="module")
def departing() -> set[tuple[str, int]]:
    """Counters that outlast their rules, by 2 s, at the end of the latest test."""
    return set()


@pytest.fixture
def cluster(counting: Cluster, departing: set[tuple[str, int]]) -> Iterator[Cluster]:
    """A test leaves the flow tables as it found them, and no counter: none that is there at the end of the next one."""
    before = tables(counting)
    yield counting
    wait_as_found(partial(tables, counting), before)
    wait_until(lambda: not departing & counters(counting), "counters to go", pause=0.2)
    departing.clear()
    departing.update(counters(counting))


def counters(cluster: Cluster) -> set[tuple[str, int]]:
    """The meters of all switches that only count, by switch and number."""
    found = set()
    for switch in cluster.fabric.switches.values():
        lines = run(["ovs-ofctl", "-O", "OpenFlow13", "dump-meters", switch.name]).split("meter=")
        numbers = (int(line.split()[0]) for line in lines[1:])
        found |= {(switch.name, number) for number in numbers if number >= FIRST_COUNTER}
    return found


_numbers = count(1)


class Guest:
    """A VM that is talked to and talks, and what is known of its frames."""

    def __init__(self, cluster: Cluster, kind: tuple[int, int], hypervisor: str = SOURCE) -> None:
        self.number = next(_numbers)
        mac, ip = f"52:54:00:c0:00:{self.number:02x}", f"10.0.100.{100 + self.number}"
        self.vsi = VdptoolVsi(f"00000000-0000-4000-a000-{self.number:012d}", *kind, (f"100-{mac}",), ip)
        self.vm = NamespaceVm(f"c{self.number}", mac, ip)
        self.at = hypervisor
        self.notes: dict[str, dict[str, Any]] = {}
        self._cluster = cluster
        self._probers: list[Prober] = []
        home = cluster.hypervisors[hypervisor]
        self.vm.boot(home.namespace)
        # What the bridge tells the station is addressed to all who are behind the uplink; it is not the VM's.
        self._tap = cluster.watcher.watch(Tap(self.vm.namespace, INTERFACE, only_ethertypes(*STATION_PROTOCOLS)))
        home.edge.attach(self.vm.port, mac)
        home.edge.raise_port(self.vm.port)
        cluster.vms[self.vm.name] = self.vm

    # --- traffic ---
    def talk(self) -> None:
        """Begin: probes with both end systems, each way, and some that are refused."""
        hosts = {name: self._cluster.hosts[name] for name in ("nms", "client")}
        flows = [
            Flow("near", "udp", "nms", self.vm.name, NEAR, INTERVAL, True),
            Flow("far", "udp", "client", self.vm.name, FAR, INTERVAL, True),
            Flow("refused", "udp", "client", self.vm.name, REFUSED, INTERVAL, False),
        ]
        peers = {self.vm.name: self.vm.ip, **{name: host.ip for name, host in hosts.items()}}
        folder = self._cluster.folder / f"probes-{self.number}"
        folder.mkdir()
        self.vm.prober = Prober(self.vm.name, self.vm.namespace, self.vm.ip, folder)
        self._probers = [
            self.vm.prober,
            *(Prober(host.name, host.namespace, host.ip, folder) for host in hosts.values()),
        ]
        for prober in self._probers:
            mine = [flow for flow in flows if prober.name in (flow.host, flow.vm)]
            prober.start(mine, peers)
        for prober in self._probers:
            prober.wait_heard()

    def hush(self) -> None:
        """End it."""
        for prober in self._probers:
            self.notes[prober.name] = dict(prober.stop())
        self._probers, self.vm.prober = [], None

    def on_the_way(self, marks: Marks) -> Counters:
        """Datagrams that either end sent while the VM was nowhere: as many may be lost on both sides of a port."""

        def within(t: float) -> bool:
            return marks.suspended - MARGIN <= t <= marks.resumed + MARGIN

        def sent(name: str, flows: tuple[str, ...]) -> int:
            notes: list[UdpNotes] = [self.notes[name][flow] for flow in flows]
            return sum(1 for note in notes for t in note.sent if within(t))

        # ARP is not probed: one request for each end system.
        to_vm = sent("nms", ("near",)) + sent("client", ("far",)) + 2
        from_vm = sent(self.vm.name, ("near", "far", "refused")) + 2
        return Counters(Counted(from_vm, from_vm * LONGEST), Counted(to_vm, to_vm * LONGEST))

    # --- moving ---
    def moves(self, there: str, ladder: Ladder, suspended: bool = False) -> Marks:
        """Migrate it; the station at the source may say that it is suspended."""
        station = self._cluster.hypervisors[self.at].station
        assert isinstance(station, EmulatedStation)
        callbacks = StepCallbacks(on_suspended=partial(station.suspend, self.vsi) if suspended else lambda: None)
        move = SingleMove(self._cluster, self.vsi, self.vm.name, self.at, there, ladder, observers=(callbacks,))
        evidence = move.run().evidence
        assert evidence.outcome is MoveOutcome.COMPLETED, evidence.reason
        self.at = there
        return evidence.marks

    # --- counting ---
    @property
    def path(self) -> str:
        return f"/evb/statistics/{self.vsi.uuid}"

    def shown(self, fresh: bool = True) -> dict[str, Any]:
        found: dict[str, Any] = self._cluster.controller.get(f"{self.path}?fresh={int(fresh)}")
        return found

    def totals(self) -> Counters:
        """As the bridge has them now."""
        return totals(self.shown())

    def interface(self) -> Counters:
        """As the VM's own interface has them now, without what was meant for its station."""
        text = self.vm.namespace.run("ip", "-statistics", "-json", "link", "show", "dev", INTERFACE)
        stats = json.loads(text)[0]["stats64"]
        self._cluster.watcher.settle()
        heard = self._tap.matching(lambda sighting: not sighting.outgoing)
        given = (
            stats["rx"]["packets"] - len(heard),
            stats["rx"]["bytes"] - sum(len(sighting.data) for sighting in heard),
        )
        return Counters(Counted(stats["tx"]["packets"], stats["tx"]["bytes"]), Counted(*given))

    def shut_down(self) -> None:
        """Off the network, and gone."""
        self.hush()
        dismiss(self._cluster.hypervisors[self.at], self.vsi)
        self._cluster.watcher.dismiss(self._tap)
        self._cluster.shut_down(self.vm.name, self.at)


def totals(shown: dict[str, Any]) -> Counters:
    sent, refused, given = shown["from_vm"], shown["from_vm"]["refused"], shown["to_vm"]
    return Counters(
        Counted(sent["packets"] + refused["packets"], sent["octets"] + refused["octets"]),
        Counted(given["packets"], given["octets"]),
    )


@contextmanager
def guest(cluster: Cluster, kind: tuple[int, int]) -> Iterator[Guest]:
    made = Guest(cluster, kind)
    try:
        admit(cluster.hypervisors[made.at], made.vsi)
        yield made
    finally:
        made.shut_down()


class Sampler:
    """Asks ten times a second for fresh totals, in a thread."""

    def __init__(self, made: Guest) -> None:
        self.samples: list[Counters] = []
        self._made = made
        self._ending = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ending.wait(max(0.0, due - time.monotonic())):
            due += SAMPLE
            try:
                self.samples.append(self._made.totals())
            except Exception as failure:
                self._failure = failure
                return

    def never_fell(self, at_least: int) -> None:
        assert len(self.samples) >= at_least
        for before, after in pairwise(self.samples):
            for earlier, later in zip(before, after, strict=True):
                assert earlier.packets <= later.packets
                assert earlier.octets <= later.octets


def ask_all(host: EndHost, times: int) -> None:
    """Broadcasts: ARP requests for an address that nobody has."""
    octets = bytes.fromhex(host.mac.replace(":", ""))
    body = struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) + octets + socket.inet_aton(host.ip) + bytes(6)
    frame = b"\xff" * 6 + octets + body + socket.inet_aton("10.0.100.250")
    with host.namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sending:
        sending.bind((host.interface, 0))
        for _ in range(times):
            sending.send(frame)
            time.sleep(0.002)


def settled(made: Guest, missed: Counters) -> Counters:
    """Differences to the VM's own counters, received too many and sent too few, when all is quiet; within bounds."""

    def bounded() -> Counters | None:
        there, here = made.totals(), made.interface()
        lacks = Counted(here.sent.packets - there.sent.packets, here.sent.octets - there.sent.octets)
        more = Counted(there.given.packets - here.given.packets, there.given.octets - here.given.octets)
        ok = 0 <= lacks.packets <= missed.sent.packets and 0 <= lacks.octets <= missed.sent.octets
        ok = ok and 0 <= more.packets <= missed.given.packets and 0 <= more.octets <= missed.given.octets
        last[0] = there, here
        return Counters(lacks, more) if ok else None

    last: list[object] = [None]
    try:
        return wait_until(bounded, "totals")
    except TimeoutError:
        pytest.fail(f"bridge and VM: {last[0]}, allowed: {missed}")


NONE = Counters(Counted(0, 0), Counted(0, 0))


# --- at rest ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [PLAIN, RULES])
def test_every_frame_and_every_octet_is_counted_as_the_vm_itself_does(cluster: Cluster, kind: tuple[int, int]) -> None:
    with guest(cluster, kind) as made:
        made.talk()
        for host in cluster.hosts.values():
            ask_all(host, 20)
        time.sleep(0.5)
        made.hush()
        settled(made, NONE)
        assert made.interface().given.packets > 40


def test_broadcasts_to_many_vms_of_one_switch_count_for_each_with_its_own_octets(cluster: Cluster) -> None:
    with guest(cluster, PLAIN) as one, guest(cluster, RULES) as two, guest(cluster, PLAIN) as three:
        for host in cluster.hosts.values():
            ask_all(host, 30)
        for made in (one, two, three):
            settled(made, NONE)
            assert made.totals().given == Counted(60, 60 * 42)


def test_a_new_version_of_the_type_costs_no_frame(cluster: Cluster) -> None:
    with guest(cluster, RULES) as made:
        made.talk()
        time.sleep(0.2)
        station, old = cluster.hypervisors[made.at].station, made.vsi
        made.vsi = VdptoolVsi(old.uuid, *RULES_2, old.filters, old.ip)
        answer = station.request(VdptoolMode.ASSOCIATE, made.vsi)
        assert answer.granted, answer.reason
        # To the station that is another VSI, beside the old one.
        assert station.request(VdptoolMode.DEASSOCIATE, old)
        time.sleep(0.2)
        made.hush()
        settled(made, NONE)


# --- on the move ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [PLAIN, RULES])
@pytest.mark.parametrize("ladder", LIVE_LADDERS)
@pytest.mark.parametrize("there", [THERE, BESIDE])
def test_totals_sampled_ten_times_a_second_never_fall_and_end_where_the_vm_does(
    cluster: Cluster, kind: tuple[int, int], ladder: Ladder, there: str
) -> None:
    with guest(cluster, kind) as made:
        made.talk()
        with Sampler(made) as sampler:
            time.sleep(0.5)
            marks = made.moves(there, ladder)
            ask_all(cluster.hosts["client"], 20)
            time.sleep(0.5)
        made.hush()
        sampler.never_fell(at_least=10)
        settled(made, made.on_the_way(marks))
        if kind == RULES:
            rules_add_up(made.shown())


def rules_add_up(shown: dict[str, Any]) -> None:
    for name in ("from_vm", "to_vm"):
        listed = shown[name]["rules"]
        for unit in ("packets", "octets"):
            passed, refused = (sum(rule[unit] for rule in listed if rule["action"] == way) for way in ("allow", "deny"))
            assert (passed, refused) == (shown[name][unit], shown[name]["refused"][unit])
    counts = {rule["description"]: rule["packets"] for rule in shown["from_vm"]["rules"]}
    assert min(counts[name] for name in ("near", "far", "nothing")) > 100
    assert {rule["line"] for rule in shown["from_vm"]["rules"] if rule["what"] == "rule"} == {7, 8, 9}


def test_there_and_back_again_with_the_source_s_word(cluster: Cluster) -> None:
    with guest(cluster, PLAIN) as made:
        made.talk()
        road = (THERE, SOURCE, BESIDE, THERE)
        with Sampler(made) as sampler:
            moves = [made.moves(there, Ladder.MINIMIZE_LATENCY, suspended=True) for there in road]
        made.hush()
        sampler.never_fell(at_least=10)
        ways = [made.on_the_way(marks) for marks in moves]
        allowed = Counters(*(Counted(*map(sum, zip(*way, strict=True))) for way in zip(*ways, strict=True)))
        settled(made, allowed)


def test_a_controller_that_is_killed_costs_no_count(cluster: Cluster) -> None:
    # The next controller would delete what an earlier test has left.
    wait_until(lambda: not counters(cluster), "counters to go", pause=0.2)
    with guest(cluster, RULES) as made:
        made.talk()
        time.sleep(0.3)
        before = made.totals()
        cluster.controller.kill()
        time.sleep(0.3)
        cluster.controller.start()
        cluster.controller.wait_connected(2)
        with Sampler(made) as sampler:
            time.sleep(0.3)
        made.hush()
        sampler.never_fell(at_least=2)
        for earlier, later in zip(before, sampler.samples[0], strict=True):
            assert earlier.packets <= later.packets
        settled(made, NONE)


# --- by the NMS -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("ladder", LIVE_LADDERS)
def test_an_nms_carries_the_totals_itself(cluster: Cluster, ladder: Ladder) -> None:
    with guest(cluster, BY_NMS) as made:
        made.talk()
        time.sleep(0.5)
        marks = made.moves(THERE, ladder)
        found = cluster.controller.get(f"/evb/migrations?vsi={made.vsi.uuid}")[-1]
        extracted = cluster.controller.get(f"/evb/migrations/{found['id']}")["statistics"]
        assert extracted["to_vm"]["packets"] > 100
        began_anew = totals(made.shown())
        assert began_anew.given.packets < extracted["to_vm"]["packets"]
        cluster.controller.put(made.path, extracted)
        time.sleep(0.3)
        made.hush()
        there, here = made.totals(), made.interface()
        allowed = made.on_the_way(marks).given
        assert 0 <= there.given.packets - here.given.packets <= allowed.packets
        assert 0 <= there.given.octets - here.given.octets <= allowed.octets
