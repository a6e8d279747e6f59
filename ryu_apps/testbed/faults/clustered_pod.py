"""Two pods to break of which one is a cluster: two bridges with three servers of their store, of which one leads."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.config.bridge_config import ClusterMembership, Peer, SharedStore
from ryu_apps.testbed.faults.pods import DOORS, LIMIT, PodsRig
from ryu_apps.testbed.faults.relay import PeerRelay, StoreRelay
from ryu_apps.testbed.harness.cluster import StationMaker
from ryu_apps.testbed.harness.controller import APPS, Controller
from ryu_apps.testbed.harness.ovsdb_cluster import OvsdbCluster
from ryu_apps.testbed.harness.pods import OPENFLOW, REST, SWITCHES
from ryu_apps.testbed.harness.running import end_all
from ryu_apps.testbed.harness.shell import run, wait_until

#: The pod with two bridges.
CLUSTER = "b"
#: Ports of its second bridge, and of the relay to that: behind those of both pods.
_OPENFLOW, _REST, _DOOR = (first + len(SWITCHES) for first in (OPENFLOW, REST, DOORS))
#: Seconds for an answer of a pod that may have to elect a leader, as the manual has it.
_TIMEOUT = 5.0
#: Longer than by default: where much else runs, a leader is often late.
_PATIENCE = 2.0


class ClusteredPodRig(PodsRig):
    """Pod a has one bridge, pod b two; both pods refuse what an unreachable one has.

    ``controllers`` and ``doors`` have the leader of pod b, as :meth:`await_leader` has found it last.
    """

    def __init__(self, folder: Path, policies: Path, station: StationMaker) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="store-")
        self._store = OvsdbCluster(Path(self._folder.name))
        self._second_door = PeerRelay(_DOOR, _REST)
        super().__init__(folder, policies, station, dict.fromkeys(SWITCHES, "refuse"), servers=1)
        own, first = folder / "second", self.controllers[CLUSTER]
        own.mkdir()
        config = own / first.config.name
        config.write_text(
            dump_config(replace(self._config_of(CLUSTER, folder, policies, "refuse"), cluster=_member(1)))
        )
        second = Controller(config, own, _OPENFLOW, _REST)
        self._doors_of = {first: self.doors[CLUSTER], second: self._second_door}
        self._dead: Controller | None = None

    def _peer(self, pod: str) -> Peer:
        return replace(super()._peer(pod), timeout=_TIMEOUT)

    def _urls(self, pod: str) -> tuple[str, ...]:
        return (*super()._urls(pod), self._second_door.url) if pod == CLUSTER else super()._urls(pod)

    def _config_of(self, pod: str, folder: Path, policies: Path, rule: str) -> BridgeConfig:
        config = super()._config_of(pod, folder, policies, rule)
        if pod != CLUSTER:
            return config
        return replace(config, state_dir=None, store=SharedStore(self._store.remotes), cluster=_member(0))

    @property
    def _relays(self) -> list[PeerRelay | StoreRelay]:
        others = [door for door in self._doors_of.values() if door is not self.doors[CLUSTER]]
        return [*super()._relays, *others]

    # --- start and end ---
    def start(self) -> None:
        """Start everything, with the bystanders; both bridges of the cluster are ready to lead."""
        self._store.start()
        for member in list(self._doors_of)[1:]:
            member.start(APPS)
        super().start()
        self.await_standby()

    def stop(self) -> None:
        """Take everything down."""
        stops = (member.stop for member in self._doors_of)
        end_all(super().stop, *stops, self._store.stop, self._folder.cleanup)

    def _connect(self) -> None:
        for member in self._doors_of:
            member.wait_serving()
        super()._connect()
        targets = [f"tcp:127.0.0.1:{member.port}" for member in self._doors_of]
        for dpid in SWITCHES[CLUSTER]:
            run(["ovs-vsctl", "--timeout=10", "set-controller", f"s{dpid}", *targets])
            records = run(["ovs-vsctl", "--timeout=10", "get", "bridge", f"s{dpid}", "controller"]).strip(" []\n")
            for record in records.split(", "):
                run(["ovs-vsctl", "--timeout=10", "set", "controller", record, "max_backoff=1000"])

    def _await(self) -> None:
        self.await_leader()
        super()._await()

    # --- the cluster ---
    def kill(self, pod: str) -> None:
        """End the bridge of a pod, or the leader of a cluster, as a crash would."""
        super().kill(pod)
        if pod == CLUSTER:
            self._dead = self.controllers[pod]

    def await_leader(self) -> None:
        """Wait until a bridge of the cluster leads, and its switches are ready."""

        def found() -> bool:
            for member in self._doors_of:
                status = self._status(member)
                if status and status["cluster"]["leads"] and _all(status, "ready"):
                    self.controllers[CLUSTER], self.doors[CLUSTER] = member, self._doors_of[member]
                    return True
            return False

        wait_until(found, "a leader", LIMIT, pause=0.05)

    def await_standby(self) -> None:
        """Start the bridge that was killed; wait until one of the two leads, and the other one may take over."""
        if self._dead is not None:
            self._dead.start(APPS)
            self._dead = None

        def found() -> bool:
            self.await_leader()
            others = [member for member in self._doors_of if member is not self.controllers[CLUSTER]]
            return all(_all(self._status(member), "standby") for member in others)

        wait_until(found, "a standby", LIMIT, pause=0.1)

    def _status(self, member: Controller) -> dict[str, Any]:
        """Status of a bridge; empty: it says nothing."""
        if member is self._dead:
            return {}
        try:
            found: dict[str, Any] = member.get("/evb/status")
        except OSError:
            return {}
        return found


def _member(number: int) -> ClusterMembership:
    """A bridge of the cluster, with an address by which other pods do not reach it."""
    return ClusterMembership(f"{CLUSTER}{number}", f"http://127.0.0.1:{(REST + 1, _REST)[number]}/", _PATIENCE)


def _all(status: dict[str, Any], readiness: str) -> bool:
    switches = status.get("switches", [])
    return bool(switches) and all(switch["readiness"] == readiness for switch in switches)
