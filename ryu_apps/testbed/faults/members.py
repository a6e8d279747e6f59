"""The cluster to break, with three bridges and three servers of their store: one leads, two are standbys.

Each bridge has a proxy to the switches and relays to the servers of its own, so that it can be cut off from either.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.config.bridge_config import ClusterMembership, SharedStore
from ryu_apps.evb.config.service_sections import PATIENCE
from ryu_apps.evb.event_catalogue.cluster import LeadBegun
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP, Frame
from ryu_apps.testbed.errors import DeadlineError
from ryu_apps.testbed.faults.journals import late_acts
from ryu_apps.testbed.faults.proxy import ChannelProxy
from ryu_apps.testbed.faults.relay import StoreRelay
from ryu_apps.testbed.faults.rig import CHECKOUT, Rig, RigVm
from ryu_apps.testbed.harness.controller import APPS, Controller
from ryu_apps.testbed.harness.ovsdb_cluster import OvsdbCluster
from ryu_apps.testbed.harness.running import end_all
from ryu_apps.testbed.harness.shell import run, wait_until
from ryu_apps.testbed.raw_frames import RawSocket

NAMES = ("c1", "c2", "c3")
#: Seconds between two repetitions of a request, and for which everything is awaited.
REPEAT, LIMIT = 0.05, 120.0
#: Seconds between two questions to all members, which take a core's time that they need themselves to start or to lead.
_PAUSE = 0.1
#: Ports of the loopback: of the first member, and from one to the next.
_PROXY, _OPENFLOW, _REST, _STEP = 6653, 6654, 8080, 10
#: Above any sequence number that a station reaches in a test.
_FIRST_SEQUENCE = 0x6000


@dataclass
class Member:
    """One bridge.

    Attributes:
        number: from 0.
        dpids: of all switches.
        alive: it runs and is not stopped.
    """

    number: int
    controller: Controller
    proxy: ChannelProxy
    relays: list[StoreRelay]
    dpids: tuple[int, ...]
    alive: bool = False

    @property
    def name(self) -> str:
        """As its configuration has it."""
        return NAMES[self.number]

    @property
    def url(self) -> str:
        """URL of its REST resources."""
        return f"http://127.0.0.1:{_REST + self.number}"

    def status(self) -> dict[str, Any] | None:
        """Its status; None: it does not run, or says nothing."""
        if not self.alive:
            return None
        try:
            answer: dict[str, Any] = self.controller.get("/evb/status")
        except OSError:
            return None
        return answer

    def events(self, since: float) -> list[dict[str, Any]]:
        """Its journal after a moment; empty: it says nothing."""
        try:
            found: list[dict[str, Any]] = self.controller.get(f"/evb/events?since={since}")
        except OSError:
            return []
        return found

    def cluster(self) -> dict[str, Any]:
        """The cluster as it knows it; empty: it says nothing."""
        status = self.status()
        return status["cluster"] if status else {}

    def alarms(self) -> set[str]:
        """Kinds of its alarms."""
        status = self.status()
        return {alarm["kind"] for alarm in status["alarms"]} if status else set()

    @property
    def leads(self) -> bool:
        """It leads, and all its switches are ready."""
        status = self.status()
        if not status or not status["cluster"]["leads"]:
            return False
        return all(switch["readiness"] == "ready" for switch in status["switches"])

    @property
    def stands_by(self) -> bool:
        """It follows a leader, and is SLAVE of all switches."""
        status = self.status()
        if not status or status["cluster"]["leads"] or not status["cluster"]["leader"]:
            return False
        return all(switch["readiness"] == "standby" for switch in status["switches"])

    def cut_from_store(self) -> None:
        """No server of the store is reached."""
        for relay in self.relays:
            relay.cut()

    def cut_from_switches(self) -> None:
        """No switch is reached."""
        self.proxy.cut(*self.dpids, bar=True)

    def heal(self) -> None:
        """Everything is reached again."""
        self.proxy.admit()
        for relay in self.relays:
            relay.heal()


class MembersRig(Rig):
    """As any rig, with three members; ``controller`` is that of the leader.

    Attributes:
        members: the bridges.
        servers: of their store.
    """

    def __init__(
        self,
        folder: Path,
        timers: dict[str, Timers] | None = None,
        patience: float = PATIENCE,
        fabric: Fabric | None = None,
        apart: bool = False,
    ) -> None:
        """
        Args:
            folder, timers, fabric: as of any rig.
            patience: of the members.
            apart: the servers of the store can be cut off from each other.
        """
        # A path of a socket has at most 107 octets.
        self._sockets = Path(tempfile.mkdtemp(prefix="evb-"))
        self.servers = OvsdbCluster(self._sockets, apart=apart)
        self._store_relays = [
            [StoreRelay(self._sockets / f"{name}-{at}", remote) for at, remote in enumerate(self.servers.remotes)]
            for name in NAMES
        ]
        self._patience = patience
        super().__init__(folder, timers, fabric=fabric)
        first = self.cluster.controller
        self.members = [Member(0, first, self._proxy, self._store_relays[0], tuple(self.cluster.fabric.switches))]
        for number in range(1, len(NAMES)):
            own = folder / NAMES[number]
            own.mkdir()
            config = own / "evbridge.yaml"
            config.write_text(dump_config(self._configured(self.cluster.fabric, number)))
            openflow, rest = _OPENFLOW + number * _STEP, _REST + number
            proxy = ChannelProxy(_PROXY + number * _STEP, openflow)
            controller = Controller(config, own, openflow, rest)
            self.members.append(Member(number, controller, proxy, self._store_relays[number], self.members[0].dpids))
        self._leader = self.members[0]

    def _configured(self, fabric: Fabric, number: int = 0) -> BridgeConfig:
        store = SharedStore(tuple(relay.remote for relay in self._store_relays[number]))
        address = f"http://127.0.0.1:{_REST + number}/"
        membership = ClusterMembership(NAMES[number], address, self._patience)
        return BridgeConfig(fabric, (str(CHECKOUT / "policies"),), store=store, cluster=membership)

    @property
    def controller(self) -> Controller:
        """The controller of the leader, as :meth:`await_leader` has found it last."""
        return self._leader.controller

    @property
    def proxy(self) -> ChannelProxy:
        """Between the switches and that controller."""
        return self._leader.proxy

    @property
    def serves(self) -> bool:
        """True if one member leads, which is then the one whose controller is asked, and all switches are its own."""
        leaders = self.leaders()
        if len(leaders) == 1:
            self._leader = leaders[0]
        return len(leaders) == 1

    @property
    def leader(self) -> Member:
        """The leader, as :meth:`await_leader` has found it last."""
        return self._leader

    @property
    def standbys(self) -> list[Member]:
        """The other members."""
        return [member for member in self.members if member is not self._leader]

    def __enter__(self) -> Self:
        self.servers.start()
        for relay in (relay for relays in self._store_relays for relay in relays):
            relay.start()
        self.members[0].alive = True
        super().__enter__()
        try:
            for member in self.members[1:]:
                self.start(member)
            self._introduce()
            self.await_standbys()
        except BaseException as error:
            self.__exit__(None, error, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end_all(
            *(stop for member in self.members[1:] for stop in (member.controller.stop, member.proxy.close)),
            partial(super().__exit__, kind, error, trace),
            *(relay.stop for relays in self._store_relays for relay in relays),
            self.servers.stop,
            after=error,
        )
        shutil.rmtree(self._sockets, ignore_errors=True)

    def _introduce(self) -> None:
        """Make the switches look for all members, each second."""
        targets = [f"tcp:127.0.0.1:{_PROXY + number * _STEP}" for number in range(len(NAMES))]
        for switch in self.switches:
            run(["ovs-vsctl", "--timeout=10", "set-controller", switch, *targets])
            records = run(["ovs-vsctl", "--timeout=10", "get", "bridge", switch, "controller"]).strip(" []\n")
            for record in records.split(","):
                run(["ovs-vsctl", "--timeout=10", "set", "controller", record.strip(), "max_backoff=1000"])

    # --- members ---
    def start(self, member: Member) -> None:
        """Start a member."""
        member.controller.start(self._apps if member.number == 0 else APPS)
        member.alive = True

    def kill(self, member: Member) -> float:
        """End a member with SIGKILL; returns the time, monotonic seconds."""
        member.alive = False
        now = time.monotonic()
        member.controller.kill()
        return now

    @contextmanager
    def stopped(self, member: Member) -> Iterator[None]:
        """A member that is stopped with SIGSTOP, and continued behind the block."""
        os.kill(member.controller.pid, signal.SIGSTOP)
        member.alive = False
        try:
            yield
        finally:
            member.alive = True
            os.kill(member.controller.pid, signal.SIGCONT)

    def leaders(self) -> list[Member]:
        """Members that say that they lead, and serve all switches."""
        return [member for member in self.members if member.leads]

    def await_leader(self, *excluded: Member, limit: float = LIMIT) -> Member:
        """Wait until one member leads, which is then the one whose controller is asked."""

        def found() -> Member | None:
            leaders = self.leaders()
            return leaders[0] if len(leaders) == 1 and leaders[0] not in excluded else None

        try:
            self._leader = wait_until(found, "a leader", limit, pause=_PAUSE)
        except TimeoutError as error:
            words = "\n".join(f"{member.name}: {member.controller.last_words(12)}" for member in self.members)
            raise DeadlineError(f"{error}\n{words}") from None
        return self._leader

    def await_standbys(self, enough: int | None = None, limit: float = LIMIT) -> Member:
        """Wait until one member leads, and all others that run, or ``enough``, are ready to take over and known to it.

        Returns:
            The leader.
        """

        def ready() -> bool:
            leader = self.await_leader(limit=limit)
            others = {member.name for member in self.members if member.alive and member is not leader}
            told = leader.cluster().get("standbys", [])
            near = [standby for standby in told if standby["heard"] < 3.0]
            known = {standby["name"] for standby in near if standby["switches"] == len(self.switches)}
            standing = [name for name in others & known if self.members[NAMES.index(name)].stands_by]
            return len(standing) >= (len(others) if enough is None else enough)

        wait_until(ready, "the other members to stand by", limit, pause=_PAUSE)
        return self._leader

    def recall(self, guest: RigVm) -> None:
        """As of any rig, at the member that leads, also if that changes meanwhile."""

        def done() -> bool:
            self.await_leader()
            with suppress(OSError):  # a member that leads no more refers to another one
                super(MembersRig, self).recall(guest)
                return True
            return False

        wait_until(done, f"{guest.name} to be recalled", LIMIT, pause=_PAUSE)

    def heard_of(self, since: float, kind: str) -> bool:
        """As of any rig; or another member has begun to lead, which compares all switches with what they should be."""
        heard = {event["kind"] for member in self.members if member.alive for event in member.events(since)}
        return not heard.isdisjoint({kind, LeadBegun.row.kind})

    def late_acts(self, since: float) -> list[str]:
        """Return, as text, acts of members that run after another one had begun to lead."""
        running = [member for member in self.members if member.alive]
        return late_acts({member.name: member.events(since) for member in running})

    # --- a station that repeats itself ---
    def until_answered(self, hypervisor: str, guest: RigVm, limit: float = LIMIT) -> float:
        """Repeat a station's last request for a VM until the bridge answers; returns when it has, monotonic seconds."""
        home = self.cluster.hypervisors[hypervisor]
        frame, asked = self._last_request(hypervisor, guest)
        deadline, sequence = time.monotonic() + limit, self._sequence()
        with RawSocket(home.namespace, home.uplink) as wire:
            while time.monotonic() < deadline:
                sequence = sequence % 0xFFFF + 1
                wire.send(replace(frame, payload=replace(asked, sequence=sequence).encode()).encode(pad=True))
                if wire.hears_of(guest.vsi.uuid, REPEAT):
                    return time.monotonic()
        raise DeadlineError(f"no answer about {guest.name} to {hypervisor} in {limit:g} s")

    def _sequence(self) -> int:
        self._asked = getattr(self, "_asked", 0) + 1
        return _FIRST_SEQUENCE + (self._asked * 0x400) % 0x8000

    def _last_request(self, hypervisor: str, guest: RigVm) -> tuple[Frame, Ecpdu]:
        self.cluster.watcher.settle()
        uuid = bytes.fromhex(guest.vsi.uuid.replace("-", ""))
        for sighting in reversed(list(self.cluster.hypervisors[hypervisor].tap.sightings)):
            frame = Frame.decode(sighting.data)
            if sighting.outgoing and frame.ethertype == ETHERTYPE_ECP and uuid in sighting.data:
                ecpdu = Ecpdu.decode(frame.payload)
                if ecpdu.op is EcpOp.REQUEST:
                    return frame, ecpdu
        raise DeadlineError(f"{hypervisor} has requested nothing for {guest.name}")
