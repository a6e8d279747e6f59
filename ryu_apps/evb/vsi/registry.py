"""Registry of VSIs, their attachments to ports, and the (VID, MAC) and IP addresses that these claim.

It decides nothing: ``vsi.lifecycle`` does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.flow.plan import RuleSet
from ryu_apps.evb.model import Binding, Phase, VsiClaims
from ryu_apps.evb.pipeline.flood import FloodMember
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.protocol.vdp_bridge import VdpBridge
from ryu_apps.evb.snooping.listener import MembershipTable
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.vsi_ports import UNNAMED
from ryu_apps.evb.vsi.conversation import Conversation
from ryu_apps.evb.vsi.installation import Holding, Installation
from ryu_apps.evb.wire.ip import IpAddress
from ryu_apps.evb.wire.vdp import ManagerId
from ryu_apps.evb.wire.vsi_id import VsiId

P = ParamSpec("P")
K = TypeVar("K")


@dataclass(eq=False, slots=True)
class Attachment:
    """One VSI at one port, from its first request until its record can be dropped.

    Attributes:
        machine: the VDP machine of this VSI at this port.
        since: when the attachment began, monotonic seconds.
        conversation: what its station has requested and was answered.
        holding: what the switches hold for it.
        bindings, addresses: what it claims; :meth:`Registry.hold` writes them.
        priorities: default PCP of each binding that has one.
        vsi_port: name of the VSI port behind which its VM is, likewise; empty: it is behind ``port``.
        silent: its station reports that the VM does not run here; frames from the VM are not let in.
    """

    vsi: Vsi
    port: PortId
    machine: VdpBridge
    since: float
    conversation: Conversation
    holding: Holding = field(default_factory=Holding)
    bindings: tuple[Binding, ...] = ()
    addresses: tuple[IpAddress, ...] = ()
    priorities: tuple[tuple[Binding, int], ...] = ()
    vsi_port: str = ""
    silent: bool = False

    @property
    def phase(self) -> Phase:
        """State of what the switches hold for the VSI here."""
        if self.holding.releasing:
            return Phase.RELEASING
        if self.holding.program is not None:
            return self.holding.program.phase
        return Phase.PREASSOCIATED if self.machine.in_force is not None else Phase.NONE

    @property
    def present(self) -> bool:
        """True if it is neither forgotten nor about to be."""
        return not self.holding.releasing and self.vsi.attachments.get(self.port) is self

    @property
    def text(self) -> str:
        """The VSIID in canonical text."""
        return self.vsi.text

    def program_for(self, vsi_type: VsiType) -> Installation | None:
        """Return its program if it is the one that its newest request asks for."""
        program = self.holding.program
        return program if program is not None and program.serves(vsi_type, self.claims) else None

    def take_port(self, vsi_type: VsiType) -> None:
        """Let its program have the VSI port that its newest request names, if nothing else has changed."""
        if self.holding.program is not None:
            self.holding.program.take_port(vsi_type, self.claims)

    @property
    def claims(self) -> VsiClaims:
        """The claims of its newest request, as it was admitted."""
        return VsiClaims(self.bindings, self.addresses, self.priorities, self.vsi_port)

    def log_event(
        self, made: Callable[Concatenate[PortId, str, P], LogEvent], *details: P.args, **named: P.kwargs
    ) -> LogEvent:
        """Build an event of a class about the VSI at this port."""
        return made(self.port, self.text, *details, **named)


class SourceState(NamedTuple):
    """State that a switch has learned for a VSI that has left it, until its successors have read it."""

    dpid: int
    program: Installation


class OpenMeter(NamedTuple):
    """A gate's meter of a switch that is open."""

    dpid: int
    number: int


@dataclass(eq=False, slots=True)
class Vsi:
    """One VSI, wherever it is attached.

    Attributes:
        owner: the attachment whose gate is installed or being installed; at most one.
        gate_program: the program of the owner that the gate leads to.
        gates: the gate rules by datapath id, as last sent.
        members: the flood memberships of the gate, ``(dpid, vid, member)``.
        open_meter: the meter of the gate, as last sent, if it is open; None: it has none, or is shut.
        listener: the groups that it has joined, wherever it is.
        left: what is still to be read where it was, None if nothing is.
        brought: totals that an NMS has brought, until the gate opens, as ``statistics.totals`` packs them; empty: none.
    """

    vsi_id: VsiId
    text: str
    attachments: dict[PortId, Attachment] = field(default_factory=dict)
    owner: Attachment | None = None
    gate_program: Installation | None = None
    gates: dict[int, RuleSet] = field(default_factory=dict)
    members: tuple[tuple[int, int, FloodMember], ...] = ()
    open_meter: OpenMeter | None = None
    listener: MembershipTable = field(default_factory=MembershipTable)
    left: SourceState | None = None
    brought: bytes = b""


class Registry:
    """All VSIs of one bridge, by their IDs, ports and addresses."""

    def __init__(self) -> None:
        self._vsis: dict[VsiId, Vsi] = {}
        self._by_text: dict[str, Vsi] = {}
        # Mostly of one each: a dictionary in place of a tuple would take four times as much.
        self._holders: dict[Binding, tuple[Attachment, ...]] = {}
        self._addressed: dict[IpAddress, tuple[Attachment, ...]] = {}
        self._macs: Counter[int] = Counter()
        self._at_port: dict[PortId, dict[VsiId, Attachment]] = {}
        self._at_vsi_port: dict[tuple[int, str], tuple[Attachment, ...]] = {}

    def __iter__(self) -> Iterator[Vsi]:
        return iter(self._vsis.values())

    def __len__(self) -> int:
        return len(self._vsis)

    def vsi(self, vsi_id: VsiId) -> Vsi | None:
        """Return the VSI of an ID, None if it is at no port."""
        return self._vsis.get(vsi_id)

    def named(self, text: str) -> Vsi | None:
        """Return the VSI of a canonical text, None if it is at no port."""
        return self._by_text.get(text)

    def attachments(self) -> Iterator[Attachment]:
        """Yield every attachment of every VSI."""
        for vsi in self._vsis.values():
            yield from vsi.attachments.values()

    def attachments_at(self, port: PortId) -> list[Attachment]:
        """Return the attachments of one port, as they are now."""
        return list(self._at_port.get(port, {}).values())

    def is_at(self, port: PortId, vsi_id: VsiId) -> bool:
        """True if a VSI is at a port."""
        return vsi_id in self._at_port.get(port, {})

    def count_at(self, port: PortId) -> int:
        """Return the number of attachments of a port."""
        return len(self._at_port.get(port, {}))

    def attach(self, vsi_id: VsiId, port: PortId, manager_id: ManagerId, machine: VdpBridge, now: float) -> Attachment:
        """Begin an attachment."""
        vsi = self._vsis.get(vsi_id)
        if vsi is None:
            vsi = Vsi(vsi_id, str(vsi_id))
            self._vsis[vsi_id] = self._by_text[vsi.text] = vsi
        attachment = Attachment(vsi, port, machine, now, Conversation(manager_id))
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
        self,
        attachment: Attachment,
        bindings: tuple[Binding, ...],
        addresses: tuple[IpAddress, ...] = (),
        priorities: tuple[tuple[Binding, int], ...] = (),
        vsi_port: str = "",
    ) -> None:
        """Note which (VID, MAC), IP addresses and VSI port an attachment claims, for :meth:`conflict` and the like."""
        claimed = attachment.addresses, attachment.bindings, attachment.priorities, attachment.vsi_port
        if claimed == (addresses, bindings, priorities, vsi_port):
            return
        for address in attachment.addresses:
            _leave(self._addressed, address, attachment)
        attachment.addresses = addresses
        for address in addresses:
            _join(self._addressed, address, attachment)
        for binding in attachment.bindings:
            _leave(self._holders, binding, attachment)
        for mac in _macs(attachment.bindings):
            self._macs[mac] -= 1
            if not self._macs[mac]:
                del self._macs[mac]
        attachment.bindings, attachment.priorities = bindings, priorities
        for binding in bindings:
            _join(self._holders, binding, attachment)
        self._macs.update(_macs(bindings))
        self._move(attachment, vsi_port)

    def _move(self, attachment: Attachment, vsi_port: str) -> None:
        dpid = attachment.port.dpid
        if attachment.vsi_port:
            _leave(self._at_vsi_port, (dpid, attachment.vsi_port), attachment)
        attachment.vsi_port = vsi_port
        if vsi_port:
            _join(self._at_vsi_port, (dpid, vsi_port), attachment)

    def attachments_behind(self, dpid: int, vsi_port: str) -> tuple[Attachment, ...]:
        """Return the attachments that claim a VSI port."""
        return self._at_vsi_port.get((dpid, vsi_port), ())

    def addressed(self, attachment: Attachment, vid: int, address: IpAddress) -> Vsi | None:
        """Return another VSI that has this IP address in this VLAN already; None: there is none."""
        for holder in self._addressed.get(address, ()):
            if holder.vsi is not attachment.vsi and any(binding.vid == vid for binding in holder.bindings):
                return holder.vsi
        return None

    def is_vm(self, mac: int) -> bool:
        """True if an attachment claims this MAC address."""
        return mac in self._macs

    def active_at(self, port: PortId, binding: Binding) -> Vsi | None:
        """Return the VSI whose gate at this port lets frames of this (VID, MAC) in; None: there is none."""
        for holder in self._holders.get(binding, ()):
            vsi = holder.vsi
            if holder.port == port and vsi.owner is holder and vsi.gate_program is not None:
                return vsi if binding in vsi.gate_program.binding.bindings else None
        return None

    def conflict(self, attachment: Attachment, binding: Binding) -> Vsi | None:
        """Return another VSI that holds this (VID, MAC) already, or this VID at this port; None: there is none."""
        for holder in self._holders.get(binding, ()):
            # Two ports that are not named yet will have two names.
            same = holder.vsi_port == attachment.vsi_port != UNNAMED
            here = holder.port == attachment.port and same
            elsewhere = binding.mac is None and not here
            if holder.vsi is not attachment.vsi and not elsewhere:
                return holder.vsi
        return None


def _macs(bindings: tuple[Binding, ...]) -> Iterator[int]:
    return (binding.mac for binding in bindings if binding.mac is not None)


def _join(table: dict[K, tuple[Attachment, ...]], key: K, attachment: Attachment) -> None:
    """Add an attachment to those of a key, if it is not there."""
    there = table.setdefault(key, (attachment,))
    if attachment not in there:
        table[key] = (*there, attachment)


def _leave(table: dict[K, tuple[Attachment, ...]], key: K, attachment: Attachment) -> None:
    """Remove an attachment from those of a key; without effect if it is not there."""
    left = tuple([other for other in table.pop(key, ()) if other is not attachment])
    if left:
        table[key] = left
