"""From an inventory to a cluster: switches and hypervisors, VMs at their nodes, traffic on every one of them."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from ryu_apps.evb.config import dump_config
from ryu_apps.evb.config.appliances import appliances
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Role
from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.harness.capture import Sighting, Tap, only_ethertypes
from ryu_apps.testbed.harness.cluster import Cluster, StationMaker
from ryu_apps.testbed.harness.probes import Flow, Notes, Prober, settle
from ryu_apps.testbed.harness.shell import CommandError
from ryu_apps.testbed.harness.staged import ETHERTYPE_RARP, StagedTarget
from ryu_apps.testbed.harness.station import LldpadStation, VdptoolVsi
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.testbed.manager.firewalls import Firewalls
from ryu_apps.testbed.measurement.measure import FlowEnds
from ryu_apps.testbed.moves.attempt import admit, dismiss, granted_network
from ryu_apps.testbed.site import SiteError, config_of, misfits, policies_of, site_of
from ryu_apps.vcm.inventory import Occupancy
from ryu_apps.vcm.loader import Loaded
from ryu_apps.vcm.memory_copy import CopyPlan, CopySettings, plan_copy
from ryu_apps.vcm.move_events import Do, GrantedNetwork
from ryu_apps.vcm.schema import Traffic
from ryu_apps.vcm.storage import datastore_of, disk_copy
from ryu_apps.vcm.vm_interface import VmInterface

#: First port of UDP of end systems: one for each flow, since they have many.
FIRST_PORT = 20000
#: Beats and datagrams that policy blocks come more slowly than those that measure.
_SLOWER = 4


class MismatchError(TestbedError):
    """The inventory does not describe the cluster that it asks for; the text says where."""


def cluster_of(loaded: Loaded, place: Path, folder: Path, station: StationMaker = LldpadStation) -> Cluster:
    """The cluster that an inventory asks for, not started.

    Args:
        place: what the inventory's paths are relative to.
        folder: an existing, empty folder.
        station: makes the EVB station of each hypervisor.

    Raises:
        MismatchError: there is no such topology, or a node is not there, or hangs elsewhere.
        ValueError: there is no switch of a rule budget.
    """
    spec = loaded.file.cluster
    if wrong := misfits(spec.topology, spec.model_fields_set):
        raise MismatchError("\n".join(f"cluster.{name}: {reason}" for name, reason in wrong.items()))
    parameters = {**({"n": spec.n} if spec.n is not None else {}), **spec.parameters}
    try:
        site = site_of(spec.topology, parameters, {name: str(address) for name, address in spec.hosts.items()}, place)
    except SiteError as error:
        raise MismatchError("\n".join(map(str, (error, *error.diagnostics)))) from None
    config = config_of(site, policies_of(spec.topology, spec.policies, place), spec.max_rules)
    if spec.appliances:
        config = replace(config, fabric=replace(config.fabric, appliances=appliances(spec.appliances)))
    _compare(loaded, config.fabric)
    addressed = {host.name for host in site.hosts if host.ip}
    for name, vm in loaded.file.vms.items():
        others = [face.traffic for face in vm.interfaces if face.traffic is not None]
        for traffic in (vm.traffic, *others):
            if traffic.host not in addressed:
                raise MismatchError(f"an end system {traffic.host!r} with an address is needed, the peer of {name}")
    return Cluster(config.fabric, site.hosts, folder, dump_config(config), station=station)


def _compare(loaded: Loaded, fabric: Fabric) -> None:
    homes = {}
    for port in fabric.ports(Role.STATION):
        interface = fabric.interface(port)
        assert interface is not None
        homes[interface.name] = fabric.switches[port.dpid].name
    wrong = [
        f"{name} is at {node.switch} in the inventory, in the cluster {f'at {homes[name]}' if name in homes else 'not'}"
        for name, node in loaded.inventory.nodes.items()
        if homes.get(name) != node.switch
    ]
    if wrong:
        raise MismatchError("\n".join(wrong))


@dataclass
class TestVm:
    """A VM of the inventory in the cluster.

    Attributes:
        vsis: what its hypervisors say of each interface, the first one first.
        host: the end system that its traffic is with.
        flows: its traffic.
        network: the VLAN that it started in, if the bridge has chosen it.
        prober: what runs in it.
        lives: notes of its probers that had to end; the last one's come at the end.
    """

    name: str
    vsis: tuple[VdptoolVsi, ...]
    mac: str
    ip: str
    host: str
    flows: tuple[Flow, ...]
    network: GrantedNetwork | None = None
    prober: Prober | None = None
    notes: dict[str, Notes] = field(default_factory=dict)


class TestVms:
    """All VMs of an inventory, and the other ends of their traffic.

    Attributes:
        descriptors: OVF of each VM that has one.
        firewalls: those in VMs.
    """

    def __init__(self, loaded: Loaded, cluster: Cluster, interval: float) -> None:
        """
        Args:
            interval: seconds between two datagrams of a flow that measures.
        """
        self.cluster = cluster
        self.all: dict[str, TestVm] = {}
        self._inventory = loaded.inventory
        self._downtime = loaded.file.cluster.downtime_ms / 1000.0
        self.descriptors = {name: vm.ovf for name, vm in loaded.inventory.vms.items() if vm.ovf}
        self.firewalls = Firewalls(loaded.file, cluster)
        self._hosts: dict[str, Prober] = {}
        self._rarps: list[Tap] = []
        self._host_notes: dict[str, Notes] = {}
        ports = count(FIRST_PORT, 2)
        for name, vm in loaded.inventory.vms.items():
            face = vm.interface
            ip = _ipv4(face)
            if ip is None:
                raise MismatchError(f"{name} has no IPv4 address, which its traffic needs")
            vsis = tuple(map(_vsi_of, vm.interfaces))
            section = loaded.file.vms[name]
            flows = _flows(name, section.traffic, next(ports), interval)
            for number, (other, more) in enumerate(zip(vm.others, section.interfaces, strict=True), 1):
                if more.traffic is not None:
                    if (at := _ipv4(other)) is None:
                        raise MismatchError(
                            f"{name}: interface {number + 1} has no IPv4 address, which its traffic needs"
                        )
                    named = f"{name}+{number}"
                    flows += [
                        replace(flow, vm=name, interface=at)
                        for flow in _flows(named, more.traffic, next(ports), interval)
                    ]
            self.all[name] = TestVm(name, vsis, face.mac, ip, section.traffic.host, tuple(flows))

    def admit(self) -> None:
        """Start every VM at its node, associated."""
        for name, guest in self.all.items():
            at = self._inventory.vms[name].at
            others = [(face.mac, _ipv4(face)) for face in self._inventory.vms[name].others]
            vm = NamespaceVm(name, guest.mac, guest.ip, others=others)
            try:
                self.cluster.boot(vm, at)
            except CommandError:
                vm.halt()
                raise
            if name in self.descriptors:
                self.cluster.hypervisors[at].definitions.accept(name, self.descriptors[name])
            first, *_ = [admit(self.cluster.hypervisors[at], vsi) for vsi in self.vsis(name, at)]
            guest.network = granted_network(guest.vsis[0], first)

    def vsis(self, name: str, node: str) -> tuple[VdptoolVsi, ...]:
        """The VSIs of a VM, as the hypervisor knows them: from its descriptor, if the VM has one.

        Raises:
            TestbedError: that hypervisor has not got it.
        """
        guest = self.all[name]
        if name not in self.descriptors:
            return guest.vsis
        return self.cluster.hypervisors[node].definitions.vsis(name, [vsi.ip for vsi in guest.vsis])

    def disk_copy(self, do: Do) -> CopyPlan | None:
        """The rounds of copying the disk of a VM to the datastore of a step; None: no rate is known."""
        inventory = self._inventory
        vm = inventory.vms[do.vm]
        source = datastore_of(inventory, Occupancy(inventory), vm, do.source)
        assert source is not None, "the disk is somewhere"
        return disk_copy(inventory, vm, source, do.datastore, self._downtime)

    def start_traffic(self) -> None:
        """Firewalls, and traffic on all VMs; every flow that may pass has passed once."""
        for host in self.cluster.hosts.values():
            tap = Tap(host.namespace, host.interface, only_ethertypes(ETHERTYPE_RARP))
            self._rarps.append(self.cluster.watcher.watch(tap))
        self.firewalls.start()
        for guest in self.all.values():
            self.start_prober(guest)
        for name in dict.fromkeys(flow.host for guest in self.all.values() for flow in guest.flows):
            host = self.cluster.hosts[name]
            prober = self._hosts[name] = Prober(name, host.namespace, host.ip, self.cluster.folder)
            flows = [flow for guest in self.all.values() for flow in guest.flows if flow.host == name]
            prober.start(flows, self._addresses())
        for prober in self._probers():
            prober.wait_heard()

    def hear_again(self, names: Collection[str]) -> None:
        """Wait until the streams of these VMs go on, if they do."""
        with suppress(TimeoutError):  # the notes tell
            for host, prober in self._hosts.items():
                prober.wait_heard_again([guest.name for guest in self._peers(host) if guest.name in names])
            for name in names:
                prober_in_vm = self.all[name].prober
                assert prober_in_vm is not None
                prober_in_vm.wait_heard_again(names)

    def start_prober(self, guest: TestVm) -> None:
        """Start the probes in a VM, with new notes."""
        vm = self.cluster.vms[guest.name]
        guest.prober = Prober(guest.name, vm.namespace, vm.ip, self.cluster.folder)
        guest.prober.start(guest.flows, self._addresses())
        vm.prober = guest.prober

    def targets(self, name: str) -> list[StagedTarget | None]:
        """Destinations of frames that are injected where a VM is staged, which arrive if its gate is not closed.

        One for each interface; None: it has no flow that would pass.
        """
        return [self._target(name, _ipv4(face) if number else "") for number, face in self._faces(name)]

    def _faces(self, name: str) -> Iterator[tuple[int, VmInterface]]:
        return enumerate(self._inventory.vms[name].interfaces)

    def _target(self, name: str, interface: str | None) -> StagedTarget | None:
        for flow in self.all[name].flows:
            if flow.proto == "udp" and flow.passes and flow.interface == interface:
                host = self.cluster.hosts[flow.host]
                return StagedTarget(host.mac, host.ip, flow.port_of(host.name), flow.port)
        return None

    def end_traffic(self) -> None:
        """End all traffic that still is, its notes left unread: something has gone wrong."""
        for prober in self._probers():
            prober.kill()

    def settle(self) -> None:
        """Wait until every datagram sent so far has arrived or is lost."""
        settle([*(guest.prober for guest in self.all.values() if guest.prober is not None), *self._hosts.values()])

    def stop_traffic(self) -> list[Sighting]:
        """End all traffic and read the notes; returns the RARPs that end systems saw."""
        for guest in self.all.values():
            guest.notes = guest.prober.stop() if guest.prober is not None else {}
        for prober in self._hosts.values():
            self._host_notes |= prober.stop()
        for tap in self._rarps:
            self.cluster.watcher.dismiss(tap)
        self.cluster.watcher.settle()
        return [sighting for tap in self._rarps for sighting in tap.sightings]

    def ends(self, name: str) -> list[FlowEnds]:
        """Notes of both ends of a VM's flows, once the traffic has been stopped."""
        guest = self.all[name]
        return [FlowEnds(flow, self._host_notes[flow.name], guest.notes[flow.name]) for flow in guest.flows]

    def dismiss(self, places: Mapping[str, str]) -> None:
        """End every VM, De-Associated, at the node where it is; VMs that are nowhere are left out."""
        for name, node in places.items():
            if name in self.cluster.vms and self.cluster.vms[name].port in self.cluster.hypervisors[node].edge.ports:
                for vsi in self.all[name].vsis:
                    dismiss(self.cluster.hypervisors[node], vsi)
                self.cluster.shut_down(name, node)

    def kill_node(self, node: str) -> float:
        """A hypervisor dies with everything in it; returns when (monotonic seconds)."""
        hypervisor = self.cluster.hypervisors[node]
        died = time.monotonic()
        hypervisor.station.kill()
        hypervisor.namespace.ip(f"link set dev {hypervisor.uplink} down")
        for name, vm in list(self.cluster.vms.items()):
            if vm.port in hypervisor.edge.ports:
                prober = self.all[name].prober
                if prober is not None:
                    prober.kill()
                self.firewalls.died(name)
                # Its streams repeat themselves for minutes, and keep the guest's namespace and interface for as long.
                for face in vm.interfaces:
                    hypervisor.edge.detach(face.port)
                    hypervisor.namespace.ip(f"link del dev {face.port}")
                vm.halt()
        return died

    def _peers(self, host: str) -> list[TestVm]:
        """The VMs whose traffic is with an end system."""
        return [guest for guest in self.all.values() if any(flow.host == host for flow in guest.flows)]

    def _probers(self) -> list[Prober]:
        """The probers of end systems and VMs, as far as they have been started."""
        in_vms = [guest.prober for guest in self.all.values() if guest.prober is not None]
        return [*self._hosts.values(), *in_vms]

    def _addresses(self) -> dict[str, str]:
        hosts = {name: host.ip for name, host in self.cluster.hosts.items()}
        return {**hosts, **{name: guest.ip for name, guest in self.all.items()}}


def _vsi_of(face: VmInterface) -> VdptoolVsi:
    return VdptoolVsi(face.vsi, face.type_id, face.version, (face.filter,), _ipv4(face))


def _ipv4(face: VmInterface) -> str | None:
    return next((address for address in face.addresses if ":" not in address), None)


def copies_of(loaded: Loaded) -> dict[str, CopyPlan]:
    """Rounds of copying the memory of each VM; none if the inventory has no rate."""
    rate = loaded.file.cluster.copy_mib_s
    if rate is None:
        return {}
    settings = CopySettings(rate, loaded.file.cluster.downtime_ms / 1000.0)
    return {name: plan_copy(vm.memory_mib, vm.dirty_mib_s, settings) for name, vm in loaded.file.vms.items()}


def _flows(name: str, traffic: Traffic, port: int, interval: float) -> list[Flow]:
    """Flows of a VM; each UDP flow has a port of its own at the end system."""
    flows = []
    if traffic.udp is not None:
        flows.append(Flow(f"{name}-udp", "udp", traffic.host, name, traffic.udp, interval, True, host_port=port))
    if traffic.blocked is not None:
        slowly = interval * _SLOWER
        blocked = Flow(f"{name}-blocked", "udp", traffic.host, name, traffic.blocked, slowly, False, host_port=port + 1)
        flows.append(blocked)
    if traffic.tcp is not None:
        flows.append(Flow(f"{name}-tcp", "tcp", traffic.host, name, traffic.tcp, interval * _SLOWER, True))
    return flows
