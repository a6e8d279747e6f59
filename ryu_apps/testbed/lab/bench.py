"""The cluster of a lab with its VMs, and what the verbs do with it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ryu_apps import testbed
from ryu_apps.evb.config import dump_config
from ryu_apps.evb.model import Phase
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.testbed.flow_dumps import dump_rules
from ryu_apps.testbed.harness.cluster import Cluster, EndHost
from ryu_apps.testbed.harness.ovs import settle_cached_flows
from ryu_apps.testbed.harness.running import Running
from ryu_apps.testbed.harness.shell import CommandError, wait_until
from ryu_apps.testbed.harness.station import VdptoolAnswer, VdptoolMode
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.testbed.lab.rules import Snapshot
from ryu_apps.testbed.lab.verbs import Argument, LineError, Words
from ryu_apps.testbed.lab.vms import VMS
from ryu_apps.testbed.short_timers import quick
from ryu_apps.testbed.site import config_of, policies_of, site_of

#: Of the folder with the scenarios, from which the policies are found as by a scenario.
_SCENARIOS = Path(testbed.__file__).parent / "scenarios"
_TOPOLOGY = "two_switch"
#: Phases of a VSI for which switches have something to confirm.
_BUSY = frozenset(phase.value for phase in (Phase.STAGING, Phase.ACTIVATING, Phase.RELEASING))
#: A request for a VSI that is associated elsewhere waits for the end of the owner if that is within the resource wait
#: delay; this one, 5.2 s, is shorter than the rest of the life of an owner that is alive, so it is refused at once.
_TIMERS = Timers(rwd=19)
#: Seconds that a frame may take to be answered; the data path needs no controller.
_ANSWERED = 3
_NOWHERE = "no hypervisor"
_CONNECT = """\
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3])).close()
except ConnectionRefusedError:
    pass
except OSError:
    sys.exit(1)
"""


class Bench(Running):
    """Two switches, their hypervisors, and VMs of which no bridge has been told.

    Attributes:
        cluster: the parts.
        vms: by name.
    """

    def __init__(self, folder: Path, hypervisors: int) -> None:
        """
        Args:
            folder: existing and empty.
        """
        site = site_of(_TOPOLOGY, {"n": hypervisors}, {}, _SCENARIOS)
        config = config_of(site, policies_of(_TOPOLOGY, None, _SCENARIOS), {})
        config = replace(config, fabric=quick(config.fabric, _TIMERS))
        self.cluster = Cluster(config.fabric, site.hosts, folder, dump_config(config))
        self.vms = {vm.name: vm for vm in VMS}

    def start(self) -> None:
        """Start the cluster, and run the VMs at its first hypervisor.

        Raises:
            TestbedError: a part did not come up.
        """
        self.cluster.start()
        first = next(iter(self.cluster.hypervisors))
        for vm in self.vms.values():
            self.cluster.boot(NamespaceVm(vm.name, vm.mac, vm.ip), first)

    def stop(self) -> None:
        """Take everything down."""
        self.cluster.stop()

    @property
    def words(self) -> Words:
        """Words of arguments."""
        return {
            Argument.VM: tuple(self.vms),
            Argument.HYPERVISOR: tuple(self.cluster.hypervisors),
            Argument.SWITCH: tuple(switch.name for switch in self.cluster.fabric.switches.values()),
            Argument.END: (*self.vms, *self.cluster.hosts),
        }

    @property
    def switches(self) -> dict[str, str]:
        """Name of the switch of each hypervisor."""
        fabric = self.cluster.fabric
        return {name: fabric.switches[each.port.dpid].name for name, each in self.cluster.hypervisors.items()}

    @property
    def homes(self) -> dict[str, str]:
        """Hypervisor at which each VM has its interface; a move that failed may have left it at none."""
        hypervisors = self.cluster.hypervisors.items()
        ports = {port: name for name, hypervisor in hypervisors for port in hypervisor.edge.ports}
        return {name: ports.get(vm.port, _NOWHERE) for name, vm in self.cluster.vms.items()}

    def home(self, vm: str) -> str:
        """Hypervisor at which a VM has its interface.

        Raises:
            LineError: it has none.
        """
        found = self.homes[vm]
        if found == _NOWHERE:
            raise LineError(f"{vm} runs nowhere: its move has failed")
        return found

    # --- rules ---
    def snapshot(self) -> Snapshot:
        """The rules of all switches as they are."""
        return {switch.name: tuple(dump_rules(switch.name)) for switch in self.cluster.fabric.switches.values()}

    def settled(self) -> Snapshot:
        """The rules of all switches once the bridge has nothing left to do with them.

        Raises:
            DeadlineError: it goes on and on.
        """
        before: list[Snapshot] = [{}]

        def rests() -> Snapshot | None:
            at_rest = all(phase not in _BUSY for _, _, phase in self.attachments())
            last, before[0] = before[0], self.snapshot()
            return last if at_rest and last == before[0] else None

        return wait_until(rests, "the bridge to come to rest", pause=0.05)

    def attachments(self) -> Iterator[tuple[str, str, str]]:
        """VM, hypervisor and phase of each VSI at each port, as the bridge has them."""
        names = {vm.vsi.uuid: vm.name for vm in self.vms.values()}
        for vsi in self.cluster.controller.get("/evb/vsis"):
            for attachment in vsi["attachments"]:
                yield names.get(vsi["vsi"], vsi["vsi"]), attachment["name"], attachment["phase"]

    # --- what the verbs do ---
    def request(self, mode: VdptoolMode, vm: str, hypervisor: str) -> VdptoolAnswer:
        """Have the station of a hypervisor make a request."""
        return self.cluster.hypervisors[hypervisor].request(mode, self.vms[vm].vsi)

    def plug(self, vm: str, hypervisor: str) -> None:
        """Suspend a VM, move its interface to a hypervisor, resume it there.

        Raises:
            LineError: it is there.
        """
        home = self.home(vm)
        if home == hypervisor:
            raise LineError(f"{vm} is at {hypervisor} already")
        guest = self.cluster.vms[vm]
        source, target = self.cluster.hypervisors[home], self.cluster.hypervisors[hypervisor]
        guest.pause()
        source.edge.detach(guest.port)
        guest.carry(source.namespace, target.namespace)
        target.edge.attach(guest.port, guest.mac)
        target.edge.raise_port(guest.port)
        guest.resume()

    def ping(self, origin: str, target: str) -> bool:
        """Send an echo request; returns True if it is answered."""
        count = ("-c", "1", "-w", str(_ANSWERED))
        return self._answered(origin, "ping", "-n", "-q", *count, self.address(target))

    def connect(self, origin: str, target: str, port: int) -> bool:
        """Open a TCP connection; returns True if an answer comes, also from a port at which nothing listens."""
        program = (sys.executable, "-c", _CONNECT)
        return self._answered(origin, *program, self.address(target), str(port), str(_ANSWERED))

    def _answered(self, origin: str, *command: str) -> bool:
        # What was cached when the gate was shut is not what the tables say now.
        settle_cached_flows()
        try:
            self._end(origin).namespace.run(*command)
        except CommandError:
            return False
        return True

    def address(self, name: str) -> str:
        """IP address of a VM or an end system."""
        return self._end(name).ip

    def mac(self, name: str) -> str:
        """MAC address of a VM or an end system."""
        return self._end(name).mac

    def _end(self, name: str) -> NamespaceVm | EndHost:
        return self.cluster.vms[name] if name in self.vms else self.cluster.hosts[name]

    def nodes(self) -> Iterator[str]:
        """Lines of what there is, and where."""
        for name, switch in self.switches.items():
            yield f"{name:<7} hypervisor at port {self.cluster.hypervisors[name].port.port_no} of {switch}"
        for name, host in self.cluster.hosts.items():
            yield f"{name:<7} end system {host.ip} {host.mac}"
        phases: dict[str, list[str]] = {}
        for name, place, phase in self.attachments():
            phases.setdefault(name, []).append(f"{phase} at {place}")
        for name, vm in self.vms.items():
            state = ", ".join(phases.get(name, ["no request"]))
            yield f"{name:<7} VM at {self.homes[name]}, {vm.ip} {vm.mac}, type {vm.type_id}/1, {vm.vsi.uuid}: {state}"
