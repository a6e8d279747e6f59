"""Pods, with a bridge for each, and a directory that they share; two of two switches each, with a link between them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.config.bridge_config import Peer, PodMembership, RestAccess
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.testbed.harness.cluster import Cluster, StationMaker
from ryu_apps.testbed.harness.controller import APPS, Controller
from ryu_apps.testbed.harness.ovsdb_cluster import DIRECTORY, OvsdbCluster
from ryu_apps.testbed.harness.rest_secrets import RestSecrets
from ryu_apps.testbed.harness.running import end_all
from ryu_apps.testbed.short_timers import quick
from ryu_apps.topologies.mininet_topo import EndSystem
from ryu_apps.topologies.two_switch import END_SYSTEMS, HOST_PORT, NATIVE_VLAN, TRUNK_PORTS

#: Port towards the other pod, of the second switch of one and of the first of the other.
POD_PORT = 70
#: Names of two pods, and their switches.
SWITCHES = {"a": (1, 2), "b": (3, 4)}
_BORDER = {2: PortId(3, POD_PORT), 3: PortId(2, POD_PORT)}
#: Ports of the first pod's bridge; those of the next one are one above.
OPENFLOW, REST = 6653, 8080


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


class Layout(NamedTuple):
    """Switches of several pods.

    Attributes:
        fabrics: pod -> its switches, as its bridge knows them.
        together: all switches, with links between pods as trunks: what is to be built.
        systems: end systems.
    """

    fabrics: Mapping[str, Fabric]
    together: Fabric
    systems: tuple[EndSystem, ...]


def two_pods(timers: Timers) -> Layout:
    """Two pods of two switches each.

    Args:
        timers: that station ports propose.
    """
    fabrics = {pod: Fabric({dpid: _switch(dpid) for dpid in dpids}) for pod, dpids in SWITCHES.items()}
    switches = {dpid: switch for fabric in fabrics.values() for dpid, switch in fabric.switches.items()}
    for dpid, peer in _BORDER.items():
        link = Interface(POD_PORT, f"s{peer.dpid}", Role.TRUNK, peer=peer)
        switches[dpid] = replace(switches[dpid], interfaces={**switches[dpid].interfaces, POD_PORT: link})
    made = {pod: quick(fabric, timers) for pod, fabric in fabrics.items()}
    return Layout(made, quick(Fabric(switches), timers), END_SYSTEMS)


class PodSecrets(RestSecrets):
    """Certificate and tokens of a pod's bridge.

    Attributes:
        token_of_peers: file with the token that other pods have here, of the role ``operate``.
    """

    def __init__(self, folder: Path, pod: str) -> None:
        super().__init__(folder, pod)
        self.token_of_peers = self.token_file("peers", "operate", f"token-for-{pod}")


class PodsCluster(Cluster):
    """Several pods on one machine; ``controller`` is that of the first pod.

    Attributes:
        controllers: by the name of the pod.
        directory: its servers.
        secrets: by the name of the pod, if they have any.
    """

    def __init__(
        self,
        folder: Path,
        policies: Path,
        station: StationMaker,
        rules: Mapping[str, str],
        layout: Layout,
        servers: int = 1,
        secure: bool = False,
    ) -> None:
        """
        Args:
            rules: pod -> ``on_unreachable``.
            servers: of the directory.
            secure: bridges talk to each other over TLS, with tokens.
        """
        self._layout = layout
        self._pods = list(layout.fabrics)
        self.secrets = {pod: PodSecrets(folder, pod) for pod in self._pods} if secure else {}
        self._sockets = tempfile.TemporaryDirectory(prefix="pods-")
        self.directory = OvsdbCluster(Path(self._sockets.name), servers, database=DIRECTORY)
        configs = {pod: dump_config(self._config_of(pod, folder, policies, rules[pod])) for pod in self._pods}
        super().__init__(layout.together, layout.systems, folder, configs[self._pods[0]], station=station)
        self.controllers = {self._pods[0]: self.controller}
        for number, pod in list(enumerate(self._pods))[1:]:
            own = folder / pod
            own.mkdir()
            (own / "evbridge.yaml").write_text(configs[pod])
            self.controllers[pod] = Controller(own / "evbridge.yaml", own, OPENFLOW + number, REST + number)
        for pod, secrets in self.secrets.items():
            self.controllers[pod].access = secrets.access

    def _config_of(self, pod: str, folder: Path, policies: Path, rule: str) -> BridgeConfig:
        peers = {name: self._peer(name) for name in self._pods if name != pod}
        membership = PodMembership(pod, self._remotes(pod), peers, rule)
        state = str(folder / f"state-{pod}")
        rest = self.secrets[pod].rest if self.secrets else RestAccess()
        return BridgeConfig(self._layout.fabrics[pod], (str(policies),), state, pod=membership, rest=rest)

    def _peer(self, pod: str) -> Peer:
        """A pod as the others have it in their configuration."""
        if not self.secrets:
            return Peer(self._urls(pod))
        secrets = self.secrets[pod]
        urls = tuple(url.replace("http:", "https:") for url in self._urls(pod))
        return Peer(urls, ca_file=str(secrets.certificate), token_file=str(secrets.token_of_peers))

    def _urls(self, pod: str) -> tuple[str, ...]:
        """URLs of a pod's bridges for other pods."""
        return (f"http://127.0.0.1:{REST + self._pods.index(pod)}/",)

    def _remotes(self, pod: str) -> tuple[str, ...]:
        """Servers of the directory, as a pod connects to them."""
        return self.directory.remotes

    def start(self) -> None:
        """Start everything; see :class:`Cluster`."""
        self.directory.start()
        for controller in list(self.controllers.values())[1:]:
            controller.start(APPS)
        super().start()

    def stop(self) -> None:
        """Take everything down."""
        controllers = list(self.controllers.values())[1:]
        stops = (controller.stop for controller in controllers)
        end_all(super().stop, *stops, self.directory.stop, self._sockets.cleanup)

    def _served(self) -> dict[str, Controller]:
        fabrics = self._layout.fabrics
        return {switch.name: self.controllers[pod] for pod in self._pods for switch in fabrics[pod].switches.values()}

    def _await(self) -> None:
        for pod, controller in self.controllers.items():
            controller.wait_connected(len(self._layout.fabrics[pod].switches))
        for hypervisor in self.hypervisors.values():
            hypervisor.station.wait_ready()
        for pod, controller in self.controllers.items():
            controller.wait_agreed(len(list(self._layout.fabrics[pod].ports(Role.STATION))))

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
