"""The larger cluster of ``bench.scale``, with three bridges and three servers of their store."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from bench.scale import SIZES, VSIS_EACH, fabric_of, vsi_of
from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.config.bridge_config import ClusterMembership, SharedStore
from ryu_apps.evb.model import Binding
from ryu_apps.evb.record_kinds import ATTACHMENT
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.vsi.records.attachment import AttachmentRecord, ProgramRecord
from ryu_apps.evb.wire.cisco import L3Address
from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP, NEAREST_CUSTOMER_BRIDGE, Frame
from ryu_apps.evb.wire.vdp import ManagerId, VdpPdu
from ryu_apps.station.filter_text import filter_from_text
from ryu_apps.stores.ovsdb.store import OvsdbStore
from ryu_apps.testbed.emulator import EmulatedStation, StationLoop, association
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.controller import Controller
from ryu_apps.testbed.harness.ovsdb_cluster import OvsdbCluster
from ryu_apps.testbed.harness.probes import Flow
from ryu_apps.testbed.harness.shell import run, wait_until
from ryu_apps.testbed.harness.station import VdptoolMode, VdptoolVsi
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.testbed.raw_frames import RawSocket
from ryu_apps.topologies import multi_switch

NAMES = ("c1", "c2", "c3")
#: Seconds between two repetitions of a request, and for which everything is awaited.
_REPEAT, _LIMIT = 0.05, 300.0
#: Ports of the loopback: of the first bridge; the next ones have the next numbers.
_OPENFLOW, _REST = 6653, 8080
#: Above any sequence number that a station reaches.
_FIRST_SEQUENCE = 0x6000
#: VSIs on a page of broadcasts.
_PAGE = 32
_POLICIES = Path(__file__).parents[1] / "policies"
#: VMs that stay where they are, with their nodes, and seconds between two datagrams of an end.
_BYSTANDERS = {"b1": ("hv1", "10.0.100.101"), "b2": ("hv9", "10.0.100.102")}
_INTERVAL = 0.01
FLOWS = (
    Flow("across", "udp", "b2", "b1", 443, _INTERVAL, True),
    Flow("outside", "udp", "nms", "b1", 123, _INTERVAL, True),
)


def bystander(name: str) -> VdptoolVsi:
    """The VSI of a VM that stays."""
    number = int(name[1:])
    address = _BYSTANDERS[name][1]
    filters = (f"{multi_switch.NATIVE_VLAN}-52:54:00:bb:00:{number:02x}",)
    return VdptoolVsi(f"00000000-0000-4000-8001-{number:012x}", 1, 1, filters, address)


class LargeCluster:
    """Leaves, spines, stations, three bridges and their store; a context manager."""

    def __init__(self, folder: Path, times: int, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._stack = ExitStack()
        # A path of a socket has at most 107 octets.
        self._sockets = Path(tempfile.mkdtemp(prefix="evb-"))
        self._stack.callback(shutil.rmtree, self._sockets, ignore_errors=True)
        self.servers = OvsdbCluster(self._sockets)
        leaves, nodes = SIZES[times]
        fabric = fabric_of(leaves, nodes)
        self._loop = StationLoop()
        self._stack.callback(self._loop.close)
        station = partial(EmulatedStation, self._loop)
        config = self._configured(fabric, 0)
        self.cluster = Cluster(fabric, multi_switch.END_SYSTEMS, folder, config, station=station)
        self.members = [self.cluster.controller]
        for number in range(1, len(NAMES)):
            own = folder / NAMES[number]
            own.mkdir()
            (own / "evbridge.yaml").write_text(self._configured(fabric, number), encoding="utf-8")
            self.members.append(Controller(own / "evbridge.yaml", own, _OPENFLOW + number, _REST + number))
        self._asked = 0

    def _configured(self, fabric: Fabric, number: int) -> str:
        membership = ClusterMembership(NAMES[number], f"http://127.0.0.1:{_REST + number}/")
        store = SharedStore(self.servers.remotes)
        return dump_config(BridgeConfig(fabric, (str(_POLICIES / "web_server"),), store=store, cluster=membership))

    def __enter__(self) -> Self:
        try:
            self._tell("starting switches, stations, the store and a bridge")
            self.servers.start()
            self._stack.callback(self.servers.stop)
            self.cluster.start()
            self._stack.callback(self.cluster.stop)
            for member in self.members[1:]:
                self._stack.callback(member.stop)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def nodes(self) -> list[str]:
        """Their names, in the order of their numbers."""
        return sorted(self.cluster.hypervisors, key=lambda name: int(name[2:]))

    @property
    def vsis(self) -> list[tuple[str, VdptoolVsi]]:
        """All VSIs that are to be associated, with their nodes."""
        return [(node, vsi_of(node, number)) for number in range(VSIS_EACH) for node in self.nodes]

    # --- filling ---
    def fill(self) -> None:
        """Associate a VSI, have the store say the same of all others, start all bridges, and repeat every request.

        So switches, store and stations are as after as many moves, in a fraction of their time.
        """
        for name, (node, address) in _BYSTANDERS.items():
            vsi = bystander(name)
            self.cluster.boot(NamespaceVm(name, vsi.filters[0].partition("-")[2], address), node)
            self._granted(node, vsi)
        node, vsi = self.vsis[0]
        self._granted(node, vsi)
        self.members[0].kill()
        self._tell("writing the records of all VSIs")
        self._multiply(vsi)
        self._tell("starting three bridges")
        for member in self.members:
            member.start()
        self._introduce()
        self.await_all()
        self._tell("all stations repeat their requests")
        with ThreadPoolExecutor(64) as pool:
            list(pool.map(lambda held: self._granted(*held), self.vsis))

    def _granted(self, node: str, vsi: VdptoolVsi) -> None:
        for _ in range(20):
            answer = self.cluster.hypervisors[node].station.request(VdptoolMode.ASSOCIATE, vsi, limit=60.0)
            if answer.granted:
                return
        raise RuntimeError(f"{node}: {answer.reason}\n{self.members[0].last_words(5)}")

    def _multiply(self, known: VdptoolVsi) -> None:
        with closing(OvsdbStore(self.servers.remotes)) as store:
            records = store.snapshot()
            (key,) = (key for key in records if key.startswith(ATTACHMENT.prefix) and known.uuid in key)
            first = AttachmentRecord.decode(records[key].value)
            assert first.program is not None
            made = sorted(self._records(first, first.program, known))
            for begun in range(0, len(made), 500):
                store.commit(dict(made[begun : begun + 500]))

    def _records(
        self, first: AttachmentRecord, program: ProgramRecord, known: VdptoolVsi
    ) -> Iterator[tuple[str, bytes]]:
        at: dict[int, int] = {}
        for number, (node, vsi) in enumerate(self.vsis, start=len(_BYSTANDERS) + 1):
            port = self.cluster.hypervisors[node].port
            at[port.dpid] = at.get(port.dpid, len(_BYSTANDERS)) + 1
            if vsi.uuid == known.uuid:
                continue
            newest = association(VdptoolMode.ASSOCIATE, vsi)
            (entry,) = filter_from_text(vsi.filters).entries
            assert entry.vid is not None and vsi.ip is not None
            told = (type(first.told[0])(vsi.ip),)
            binding = replace(
                program.binding,
                vsi_index=number + 1,
                generation=number % 15 + 1,
                bindings=(Binding(entry.vid, entry.mac),),
                addresses=told,
            )
            own = replace(program, binding=binding, pages=(at[port.dpid] // _PAGE,))
            yield (
                ATTACHMENT.key(f"{vsi.uuid}@{port}"),
                replace(first, port=port, newest=newest, told=told, program=own).encode(),
            )

    def _introduce(self) -> None:
        """Make the switches look for all members, each second."""
        targets = [f"tcp:127.0.0.1:{_OPENFLOW + number}" for number in range(len(NAMES))]
        for switch in self.cluster.fabric.switches.values():
            run(["ovs-vsctl", "--timeout=30", "set-controller", switch.name, *targets])
        records = run(["ovs-vsctl", "--timeout=30", "--bare", "--columns=_uuid", "list", "controller"]).split()
        for record in records:
            run(["ovs-vsctl", "--timeout=30", "set", "controller", record, "max_backoff=1000"])

    # --- members ---
    def await_all(self) -> Controller:
        """Wait until a bridge leads with all switches ready, and the others have all of them as standbys."""

        def leader() -> Controller | None:
            leading, standing = [], 0
            for member in self.members:
                try:
                    status = member.get("/evb/status")
                except OSError:
                    return None
                readiness = {switch["readiness"] for switch in status["switches"]}
                if status["cluster"]["leads"] and readiness == {"ready"}:
                    leading.append(member)
                standing += not status["cluster"]["leads"] and readiness == {"standby"}
            return leading[0] if len(leading) == 1 and standing == len(self.members) - 1 else None

        return wait_until(leader, "a leader and two standbys", _LIMIT, pause=0.3)

    def until_ready(self) -> None:
        """Wait until a bridge leads with all switches ready, whatever the others do."""

        def ready() -> bool:
            for member in self.members:
                try:
                    status = member.get("/evb/status")
                except OSError:
                    continue
                readiness = {switch["readiness"] for switch in status["switches"]}
                if status["cluster"]["leads"] and readiness == {"ready"}:
                    return True
            return False

        wait_until(ready, "a leader", _LIMIT, pause=0.1)

    def memory(self, member: Controller) -> float:
        """Megabytes."""
        status = Path(f"/proc/{member.pid}/status").read_text(encoding="ascii")
        return float(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024

    # --- stations that repeat themselves ---
    def until_answered(self, node: str, vsi: VdptoolVsi, *modes: VdptoolMode) -> float:
        """Repeat a request until the bridge answers, and then the next one; returns when, monotonic seconds."""
        home = self.cluster.hypervisors[node]
        deadline = time.monotonic() + _LIMIT
        with RawSocket(home.namespace, home.uplink) as wire:
            source = int.from_bytes(wire.socket.getsockname()[4])
            for mode in modes:
                while True:
                    if time.monotonic() > deadline:
                        raise RuntimeError(f"{node}: no answer in {_LIMIT:g} s")
                    wire.send(self._request(source, mode, vsi))
                    if wire.hears_of(vsi.uuid, _REPEAT):
                        break
        return time.monotonic()

    def _request(self, source: int, mode: VdptoolMode, vsi: VdptoolVsi) -> bytes:
        self._asked += 1
        sequence = _FIRST_SEQUENCE + self._asked % 0x8000
        tlv = association(mode, vsi)
        told = L3Address(tlv.vsi_id, ip_address(vsi.ip or "")).encode()
        pdu = VdpPdu(ManagerId(vsi.manager.encode("ascii").ljust(16, b"\0")), (tlv, told))
        ecpdu = Ecpdu(EcpOp.REQUEST, 1, sequence, pdu.encode())
        return Frame(NEAREST_CUSTOMER_BRIDGE, source, ETHERTYPE_ECP, ecpdu.encode()).encode(pad=True)
