"""A world with traffic of VMs, which also counts it at the VMs' own interfaces."""

from __future__ import annotations

from dataclasses import dataclass, field

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import Direction
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.statistics.totals import Account, CounterValue
from ryu_apps.evb.wire.vdp import Association, VdpMode
from tests.worlds.bridge import CLIENT, CLIENT_MAC, NMS, NMS_MAC, Delivered, Vm, World

FROM, TO = Direction.FROM_VM, Direction.TO_VM
ARP, IPV4, UDP = 0x0806, 0x0800, 17
BROADCAST = 0xFFFFFFFFFFFF

_RULES = """
from_vm:
  default: allow
  rules:
    - rule: {udp_dst: 53, actions: {allow: 1}, description: names}
    - rule: {udp_dst: 25, actions: {allow: 0}, description: no mail}
to_vm:
  default: deny
  rules:
    - rule: {udp_dst: 53, actions: {allow: 1}}
    - rule: {udp_dst: [80, 443], actions: {allow: 1}, description: the web}
"""

#: Types: totals only; rule by rule, and a second version of it; totals carried by the NMS; read only at the
#: destination's Associate; with multicast too; and with a first rule that lets everything pass.
PLAIN, RULES, RULES_2, BY_NMS, SINGLE, GROUPS, FIRST = (
    VsiTypeKey(*key) for key in ((40, 1), (41, 1), (41, 2), (42, 1), (43, 1), (44, 1), (45, 1))
)

_SECTIONS = {
    PLAIN: "{}",
    RULES: "{per_rule: true}",
    RULES_2: "{per_rule: true}",
    BY_NMS: "{extraction: nms}",
    SINGLE: "{trigger: single}",
    GROUPS: "{per_rule: true}\nmulticast: {}",
    FIRST: "{per_rule: true}",
}


def _text(key: VsiTypeKey, section: str) -> str:
    head = f"version: 1\nvsi_type: {{type_id: {key.type_id}, version: {key.version}, name: counted}}\n"
    rules = "\nfrom_vm: {rules: [{rule: {actions: {allow: 1}}}]}\n" if key == FIRST else _RULES
    return f"{head}statistics: {section}{rules}"


def policies() -> PolicySet:
    """Load the types above."""
    loaded, found = load_policies([(str(key), _text(key, section)) for key, section in _SECTIONS.items()], SECTIONS)
    assert loaded is not None, found
    return loaded


POLICIES = policies()


def udp(source: int, destination: int, port: int = 443, dst_ip: int = 0, src_ip: int = 0) -> dict[str, int]:
    """Fields of a UDP datagram as an end station sends it."""
    fields = {"eth_src": source, "eth_dst": destination, "eth_type": IPV4, "ip_proto": UDP, "ip_dscp": 0}
    return {**fields, "ipv4_src": src_ip, "ipv4_dst": dst_ip, "udp_src": 5000, "udp_dst": port, "vlan_vid": 0}


@dataclass
class Interface:
    """Counters of a VM's own interface."""

    tx: CounterValue = CounterValue()
    rx: CounterValue = CounterValue()


@dataclass
class CountingWorld(World):
    """A world with counters: ``interfaces`` has the expected values, by MAC address."""

    policies: PolicySet = POLICIES
    interfaces: dict[int, Interface] = field(default_factory=dict)

    def places(self, vm: Vm) -> list[PortId]:
        """Return the port at which a VM's gate is open."""
        vsi = self.engine.registry.named(vm.text)
        return [vsi.owner.port] if vsi is not None and vsi.owner is not None else []

    def interface(self, vm: Vm) -> Interface:
        """Return a VM's interface counters."""
        return self.interfaces.setdefault(vm.mac, Interface())

    def vm_sends(self, vm: Vm, port: PortId, frame: dict[str, int], octets: int = 60, times: int = 1) -> int:
        """Send a frame from a VM at a port; returns the number of copies delivered."""
        self.interface(vm).tx = self.interface(vm).tx.plus(CounterValue(times, times * octets))
        return self._given(self.carry(port, frame, octets, times), times)

    def host_sends(self, host: PortId, frame: dict[str, int], octets: int = 60, times: int = 1) -> int:
        """Send a frame from an end system; returns the number of copies delivered."""
        return self._given(self.carry(host, frame, octets, times), times)

    def _given(self, delivered: list[Delivered], times: int) -> int:
        for arrival in delivered:
            interface = self.interfaces.get(arrival.fields["eth_dst"])
            if interface is not None and arrival.port not in (NMS, CLIENT):
                interface.rx = interface.rx.plus(CounterValue(times, times * arrival.octets))
        return len(delivered)

    def exchange_traffic(self, vm: Vm, port: PortId, times: int = 1) -> None:
        """Exchange frames with both hosts: allowed ones, denied ones and broadcasts."""
        self.interface(vm)
        source = int(vm.address)
        for number, octets in ((443, 60), (53, 100), (25, 77)):
            self.vm_sends(vm, port, udp(vm.mac, NMS_MAC, number, src_ip=source), octets, times)
            self.vm_sends(vm, port, udp(vm.mac, CLIENT_MAC, number, src_ip=source), octets, times)
            self.host_sends(NMS, udp(NMS_MAC, vm.mac, number, dst_ip=source), octets, times)
            self.host_sends(CLIENT, udp(CLIENT_MAC, vm.mac, number, dst_ip=source), octets, times)
        self.vm_sends(vm, port, udp(vm.mac, BROADCAST, 9, src_ip=source), 90, times)
        for host, mac in ((NMS, NMS_MAC), (CLIENT, CLIENT_MAC)):
            self.host_sends(host, udp(mac, BROADCAST, 80), 91, times)

    def account(self, vm: Vm) -> Account:
        """Return the account of a VM's gate, or its only one."""
        vsi = self.engine.registry.named(vm.text)
        found = self.engine.counters.account_in_force(vsi) if vsi is not None else None
        if found is None:
            (found,) = self.engine.counters.accounts.of(vm.text)
        return found

    def totals(self, vm: Vm) -> tuple[CounterValue, CounterValue]:
        """Return the totals from the VM (denied frames included) and to it."""
        account = self.account(vm)
        return account.total(FROM).plus(account.refused(FROM)), account.total(TO)

    def read(self) -> None:
        """Advance the clock until every counter has been read."""
        self.keep_alive(2.5)

    def keep_alive(self, seconds: float) -> None:
        """Advance the clock; stations send keep-alives for their VSIs."""
        until = self.now + seconds
        while self.now < until:
            self.advance(min(0.5, until - self.now))
            for attachment in list(self.engine.registry.attachments()):
                mode = attachment.machine.in_force
                if mode is not None and attachment.conversation.newest is not None:
                    self.ask(attachment.port, _vm(attachment.conversation.newest), mode)

    def move(self, vm: Vm, port: PortId) -> None:
        """Pre-Associate with resource reservation at a port, then Associate."""
        self.ask(port, vm, VdpMode.PREASSOCIATE_RR)
        self.ask(port, vm, VdpMode.ASSOCIATE)
        assert self.places(vm) == [port]


def _vm(newest: Association) -> Vm:
    mac = newest.filter_info.entries[0].mac
    assert mac is not None
    return Vm(mac & 0xFFFF, type=VsiTypeKey(newest.type_id, newest.version))
