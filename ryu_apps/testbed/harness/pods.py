"""Two pods of two switches each, a bridge for each pod, and a directory that they share; one link between them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.config.bridge_config import Peer, PodMembership
from ryu_apps.evb.topology.fabric import Fabric, Interface, PortId, Role, Switch, Timers
from ryu_apps.testbed.harness.cluster import Cluster, StationMaker
from ryu_apps.testbed.harness.controller import APPS, Controller
from ryu_apps.testbed.harness.ovsdb_cluster import DIRECTORY, OvsdbCluster
from ryu_apps.testbed.harness.shell import run
from ryu_apps.testbed.short_timers import quick
from ryu_apps.topologies.two_switch import END_SYSTEMS, HOST_PORT, NATIVE_VLAN, TRUNK_PORTS

#: Port towards the other pod, of the second switch of one and of the first of the other.
POD_PORT = 70
#: Names of pods, their switches, and their ports for OpenFlow and REST.
SWITCHES = {"a": (1, 2), "b": (3, 4)}
_BORDER = {2: PortId(3, POD_PORT), 3: PortId(2, POD_PORT)}
_OPENFLOW, _REST = 6653, 8080


def _switch(dpid: int) -> Switch:
    pod = next(dpids for dpids in SWITCHES.values() if dpid in dpids)
    other = sum(pod) - dpid
    ports = [
        Interface(1, f"hv{dpid}", Role.STATION, NATIVE_VLAN),
        Interface(TRUNK_PORTS[0], f"s{other}", Role.TRUNK, peer=PortId(other, TRUNK_PORTS[0])),
    ]
    if dpid in _BORDER:
        ports.append(Interface(POD_PORT, f"pod{dpid}", Role.HOST, NATIVE_VLAN, uplink=True))
    else:
        system = END_SYSTEMS[0 if dpid == 1 else 1]
        ports.append(Interface(HOST_PORT, system.name, Role.HOST, NATIVE_VLAN, macs=(system.mac,)))
    return Switch(dpid, f"s{dpid}", {port.port_no: port for port in ports})


def fabric_of(pod: str, timers: Timers) -> Fabric:
    """The switches of one pod, as its bridge knows them."""
    return quick(Fabric({dpid: _switch(dpid) for dpid in SWITCHES[pod]}), timers)


def _together(timers: Timers) -> Fabric:
    """All switches, with the link between the pods as a trunk: what is to be built."""
    switches = {dpid: _switch(dpid) for dpids in SWITCHES.values() for dpid in dpids}
    for dpid, peer in _BORDER.items():
        link = Interface(POD_PORT, f"s{peer.dpid}", Role.TRUNK, peer=peer)
        switches[dpid] = replace(switches[dpid], interfaces={**switches[dpid].interfaces, POD_PORT: link})
    return quick(Fabric(switches), timers)


class PodsCluster(Cluster):
    """Both pods on one machine; ``controller`` is that of the first pod.

    Attributes:
        controllers: by the name of the pod.
        directory: its servers.
    """

    def __init__(
        self, folder: Path, policies: Path, station: StationMaker, rules: Mapping[str, str], timers: Timers
    ) -> None:
        """
        Args:
            rules: pod -> ``on_unreachable``.
            timers: that station ports propose.
        """
        self._timers = timers
        self._sockets = tempfile.TemporaryDirectory(prefix="pods-")
        self.directory = OvsdbCluster(Path(self._sockets.name), 1, database=DIRECTORY)
        configs = {pod: self._config_of(pod, folder, policies, rules[pod]) for pod in SWITCHES}
        super().__init__(_together(timers), END_SYSTEMS, folder, configs["a"], station=station)
        own = folder / "b"
        own.mkdir()
        (own / "evbridge.yaml").write_text(configs["b"])
        other = Controller(own / "evbridge.yaml", own, _OPENFLOW + 1, _REST + 1)
        self.controllers = {"a": self.controller, "b": other}

    def _config_of(self, pod: str, folder: Path, policies: Path, rule: str) -> str:
        peers = {name: Peer((f"http://127.0.0.1:{_REST + at}/",)) for at, name in enumerate(SWITCHES) if name != pod}
        membership = PodMembership(pod, self.directory.remotes, peers, rule)
        state = str(folder / f"state-{pod}")
        return dump_config(BridgeConfig(fabric_of(pod, self._timers), (str(policies),), state, pod=membership))

    def start(self) -> None:
        """Start everything; see :class:`Cluster`."""
        self.directory.start()
        self.controllers["b"].start(APPS)
        super().start()

    def stop(self) -> None:
        """Take everything down."""
        super().stop()
        self.controllers["b"].stop()
        self.directory.stop()
        self._sockets.cleanup()

    def _aggregate(self) -> None:
        for dpid in SWITCHES["b"]:
            run(["ovs-vsctl", "--timeout=10", "set-controller", f"s{dpid}", f"tcp:127.0.0.1:{_OPENFLOW + 1}"])

    def _await(self) -> None:
        for controller in self.controllers.values():
            controller.wait_connected(2)
        for hypervisor in self.hypervisors.values():
            hypervisor.station.wait_ready()
        for controller in self.controllers.values():
            controller.wait_agreed(2)

    def owner(self, vsi: str, pod: str) -> str | None:
        """The port at which a VSI is active in a pod; None: at none."""
        with suppress(OSError):
            found: str | None = self.controllers[pod].get(f"/evb/vsis/{vsi}")["owner"]
            return found
        return None

    def pod(self, name: str) -> Any:
        """The pod in the status of its bridge."""
        return self.controllers[name].get("/evb/status")["pod"]

    def alarms(self, pod: str) -> set[str]:
        """Kinds of the alarms of a pod's bridge."""
        return {alarm["kind"] for alarm in self.controllers[pod].get("/evb/status")["alarms"]}
