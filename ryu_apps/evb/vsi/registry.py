"""Who is where: VSIs, their attachments to ports, and the programs the switches hold for them.

The mutable heart of the bridge, and the only one.  It decides nothing: ``vsi.lifecycle`` does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ryu_apps.evb.flow.plan import RuleSet
from ryu_apps.evb.model import Binding, Phase, VsiBinding
from ryu_apps.evb.pipeline.flood import FloodMember
from ryu_apps.evb.pipeline.multicast import GroupMembers
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.protocol.vdp_bridge import VdpBridge
from ryu_apps.evb.snooping.listener import MembershipTable
from ryu_apps.evb.topology.fabric import PortId
from ryu_apps.evb.wire.filter_info import FilterInfo
from ryu_apps.evb.wire.ip import IpAddress
from ryu_apps.evb.wire.vdp import Association, ManagerId, VdpMode
from ryu_apps.evb.wire.vsi_id import VsiId


@dataclass(eq=False, slots=True)
class Installation:
    """What one attachment puts into its switch: a body and, once active, a gate.

    A changed filter or a new policy epoch is a new program beside the old one, so that the old one
    stays in force, untouched, until the gate is flipped.

    Attributes:
        waiting: tokens of changes the switches have not confirmed yet.
        own: rules of its own body, without those of its type.
        rules: rules that were new to the switch (a shared type body counts for its first user only).
        opened: a gate leads to it or has led to it.
        awaiting: what it was given because the VSI's last switch had learnt it, until its gate opens.
        carried, fixed_up: how many rules that were in the end, by service, and how many came after it was staged.
    """

    vsi_type: VsiType
    epoch: int
    binding: VsiBinding
    phase: Phase = Phase.NONE
    waiting: set[int] = field(default_factory=set)
    own: int = 0
    rules: int = 0
    opened: bool = False
    awaiting: RuleSet = field(default_factory=dict)
    carried: Counter[str] = field(default_factory=Counter)
    fixed_up: Counter[str] = field(default_factory=Counter)

    def serves(self, vsi_type: VsiType, bindings: tuple[Binding, ...], addresses: tuple[object, ...]) -> bool:
        """Is this the program that such a request asks for?"""
        return (
            self.vsi_type.digest == vsi_type.digest
            and self.vsi_type.key == vsi_type.key
            and self.binding.bindings == bindings
            and self.binding.addresses == addresses
        )


class Standing(NamedTuple):
    """A request that has been granted, and what it means.

    Attributes:
        asked: what ``newest`` means, to know a repetition.
        filled: the filter info as answered (null VIDs filled in).
        newest, manager_id: the request, and whose VSI type it names.
        told: the VM's addresses as its station told them.
    """

    asked: object = None
    filled: FilterInfo | None = None
    newest: Association | None = None
    manager_id: ManagerId = ManagerId()
    told: tuple[IpAddress, ...] = ()


@dataclass(eq=False, slots=True)
class Attachment:
    """One VSI at one port, from its first request until its record can be dropped.

    Attributes:
        machine: the VDP machine of this VSI at this port.
        requests: the newest request TLV of each mode, for the answer.
        asked: what ``newest`` means, to know a repetition.
        granted: the request in force, to return to if a change is refused.
        told: the VM's addresses as its station told them.
        inherited: those that its last station told; they count until this one tells any.
        announced: the station has sent a Pre-Associate since the VSI's present owner became its owner.
        filled: the filter info as answered (null VIDs filled in).
        program: the program in force or being put in force.
        retired: older programs whose rules still have to go.
        since: when the attachment began, monotonic seconds.
        left: the VSI moved away in an earlier life of the bridge; the station is still to be told.
        turn: grows with every Associate of the bridge, so the newest is known.
        releasing: all of it is to go; forgetting: only its record is left.
        name: the VM's name, if the station told it.
        suspended: the station's newest request says that the VM does not run there.
    """

    vsi: Vsi
    port: PortId
    manager_id: ManagerId
    machine: VdpBridge
    since: float
    requests: dict[VdpMode, Association] = field(default_factory=dict)
    newest: Association | None = None
    asked: object = None
    granted: Standing = Standing()
    told: tuple[IpAddress, ...] = ()
    inherited: tuple[IpAddress, ...] = ()
    announced: bool = False
    filled: FilterInfo | None = None
    bindings: tuple[Binding, ...] = ()
    addresses: tuple[IpAddress, ...] = ()
    program: Installation | None = None
    retired: list[Installation] = field(default_factory=list)
    closing: set[int] = field(default_factory=set)
    sweeping: set[int] = field(default_factory=set)
    turn: int = 0
    releasing: bool = False
    forgetting: bool = False
    left: bool = False
    name: str | None = None
    suspended: bool = False

    @property
    def claimed(self) -> tuple[IpAddress, ...]:
        """The addresses that it asks for."""
        return self.told or self.inherited

    @property
    def phase(self) -> Phase:
        """What the switches hold for the VSI here."""
        if self.releasing:
            return Phase.RELEASING
        if self.program is not None:
            return self.program.phase
        return Phase.PREASSOCIATED if self.machine.in_force is not None else Phase.NONE

    @property
    def programs(self) -> tuple[Installation, ...]:
        """Those that its switch holds or is about to; a retired one is in force until the gate leads to the next."""
        return (self.program, *self.retired) if self.program is not None else tuple(self.retired)

    @property
    def present(self) -> bool:
        """Whether it is neither forgotten nor about to be."""
        return not self.releasing and self.vsi.attachments.get(self.port) is self

    @property
    def text(self) -> str:
        """The VSIID in canonical text."""
        return self.vsi.text

    def stand(self) -> None:
        """What the station asks for has been granted."""
        self.granted = Standing(self.asked, self.filled, self.newest, self.manager_id, self.told)

    def fall_back(self) -> None:
        """What the station asks for has been refused; what it was granted before is in force."""
        self.asked, self.filled, self.newest, self.manager_id, self.told = self.granted
        if self.newest is not None:
            self.requests[self.newest.MODE] = self.newest


class SourceState(NamedTuple):
    """What a switch has learnt for a VSI that has left it, until whoever is staged elsewhere has read it."""

    dpid: int
    program: Installation


@dataclass(eq=False, slots=True)
class Vsi:
    """One VSI, wherever it is attached.

    Attributes:
        owner: the attachment whose gate is installed or being installed; at most one.
        gate_program: the program of the owner that the gate leads to.
        gates: the gate rules by datapath id, as last sent.
        members: the flood memberships of the gate, ``(dpid, vid, member)``.
        listener: the groups that it has joined, wherever it is.
        receptions: the groups that its gate lets through, by VID.
        left: what is still to be read where it was, None if nothing is.
    """

    vsi_id: VsiId
    text: str
    attachments: dict[PortId, Attachment] = field(default_factory=dict)
    owner: Attachment | None = None
    gate_program: Installation | None = None
    gates: dict[int, RuleSet] = field(default_factory=dict)
    members: tuple[tuple[int, int, FloodMember], ...] = ()
    listener: MembershipTable = field(default_factory=MembershipTable)
    receptions: tuple[tuple[int, GroupMembers], ...] = ()
    left: SourceState | None = None


class Registry:
    """All VSIs of one bridge, and who holds which (VID, MAC)."""

    def __init__(self) -> None:
        self._vsis: dict[VsiId, Vsi] = {}
        self._by_text: dict[str, Vsi] = {}
        self._holders: dict[Binding, dict[Attachment, None]] = {}
        self._addressed: dict[IpAddress, dict[Attachment, None]] = {}
        self._macs: Counter[int] = Counter()
        self._at_port: dict[PortId, dict[VsiId, Attachment]] = {}

    def __iter__(self) -> Iterator[Vsi]:
        return iter(self._vsis.values())

    def __len__(self) -> int:
        return len(self._vsis)

    def vsi(self, vsi_id: VsiId) -> Vsi | None:
        """The VSI of that id, if any port knows it."""
        return self._vsis.get(vsi_id)

    def named(self, text: str) -> Vsi | None:
        """The VSI of that canonical text."""
        return self._by_text.get(text)

    def attachments(self) -> Iterator[Attachment]:
        """Every attachment of every VSI."""
        for vsi in self._vsis.values():
            yield from vsi.attachments.values()

    def attachments_at(self, port: PortId) -> list[Attachment]:
        """Those of one port, as they are now."""
        return list(self._at_port.get(port, {}).values())

    def count_at(self, port: PortId) -> int:
        """How many attachments a port has."""
        return len(self._at_port.get(port, {}))

    def attach(self, vsi_id: VsiId, port: PortId, manager_id: ManagerId, machine: VdpBridge, now: float) -> Attachment:
        """Begin an attachment."""
        vsi = self._vsis.get(vsi_id)
        if vsi is None:
            vsi = Vsi(vsi_id, str(vsi_id))
            self._vsis[vsi_id] = self._by_text[vsi.text] = vsi
        attachment = Attachment(vsi, port, manager_id, machine, now)
        self._at_port.setdefault(port, {})[vsi_id] = vsi.attachments[port] = attachment
        return attachment

    def forget(self, attachment: Attachment) -> None:
        """Drop the record of an attachment, and of its VSI if it was the last."""
        self.hold(attachment, ())
        vsi = attachment.vsi
        if vsi.attachments.get(attachment.port) is attachment:
            del vsi.attachments[attachment.port]
            del self._at_port[attachment.port][vsi.vsi_id]
        if not vsi.attachments and vsi.owner is None:
            self._vsis.pop(vsi.vsi_id, None)
            self._by_text.pop(vsi.text, None)

    def hold(
        self, attachment: Attachment, bindings: tuple[Binding, ...], addresses: tuple[IpAddress, ...] = ()
    ) -> None:
        """Note which (VID, MAC) and IP addresses an attachment claims; ``conflict`` and ``addressed`` find them."""
        for address in attachment.addresses:
            claims = self._addressed.get(address, {})
            claims.pop(attachment, None)
            if not claims:
                self._addressed.pop(address, None)
        attachment.addresses = addresses
        for address in addresses:
            self._addressed.setdefault(address, {})[attachment] = None
        for binding in attachment.bindings:
            holders = self._holders.get(binding, {})
            holders.pop(attachment, None)
            if not holders:
                self._holders.pop(binding, None)
        for mac in _macs(attachment.bindings):
            self._macs[mac] -= 1
            if not self._macs[mac]:
                del self._macs[mac]
        attachment.bindings = bindings
        for binding in bindings:
            self._holders.setdefault(binding, {})[attachment] = None
        self._macs.update(_macs(bindings))

    def addressed(self, attachment: Attachment, vid: int, address: IpAddress) -> Vsi | None:
        """Another VSI that already has this IP address in this VLAN."""
        for holder in self._addressed.get(address, ()):
            if holder.vsi is not attachment.vsi and any(one.vid == vid for one in holder.bindings):
                return holder.vsi
        return None

    def is_vm(self, mac: int) -> bool:
        """Whether some attachment claims this MAC address."""
        return mac in self._macs

    def active_at(self, port: PortId, binding: Binding) -> Vsi | None:
        """The VSI whose gate at this port lets frames of this (VID, MAC) in; None: they are nobody's."""
        for holder in self._holders.get(binding, ()):
            vsi = holder.vsi
            if holder.port == port and vsi.owner is holder and vsi.gate_program is not None:
                return vsi if binding in vsi.gate_program.binding.bindings else None
        return None

    def conflict(self, attachment: Attachment, binding: Binding) -> Vsi | None:
        """Another VSI that already holds this (VID, MAC), or this VID at this port."""
        for holder in self._holders.get(binding, ()):
            elsewhere = binding.mac is None and holder.port != attachment.port
            if holder.vsi is not attachment.vsi and not elsewhere:
                return holder.vsi
        return None


def _macs(bindings: tuple[Binding, ...]) -> Iterator[int]:
    return (binding.mac for binding in bindings if binding.mac is not None)
