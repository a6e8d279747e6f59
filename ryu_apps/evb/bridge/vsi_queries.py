"""Questions about the VSIs of a running bridge: their ports, the rules that they need, and their moves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.bridge.migrations import Migration, MigrationPart, MigrationState
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.rule import Group, Meter, Rule
from ryu_apps.evb.model import Binding, VsiTypeKey
from ryu_apps.evb.pipeline.tables import CookieKind
from ryu_apps.evb.protocol.vdp_bridge import VsiState
from ryu_apps.evb.services.body import services_of
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.vsi_ports import UNNAMED
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.registry import Attachment, Vsi
from ryu_apps.evb.wire.ip import IpAddress

#: Purpose of the deadline of an attachment; in other states none is running, and the operator cannot deassociate.
_AWAITED = {VsiState.HELD: "keep_alive", VsiState.DECIDING: "resource_wait"}

#: Kind and owner of a cookie.
CookieOwner = tuple[CookieKind, int]


@dataclass(frozen=True, slots=True)
class InstallationStatus:
    """Rules of a VSI at one switch.

    Attributes:
        type, digest: of the VSI type.
        phase: state of the rules.
        rules: rules that were new to the switch; None: not known, at a standby.
        waiting: changes that the switches have not confirmed; None: the same.
        carried, fixed_up: rules of state that came with the VSI, by service, and those of them after the staging.
    """

    type: VsiTypeKey
    digest: str
    phase: str
    epoch: int
    index: int
    generation: int
    rules: int | None
    waiting: int | None
    services: tuple[str, ...]
    carried: Mapping[str, int]
    fixed_up: Mapping[str, int]


class BindingStatus(NamedTuple):
    """A (VID, MAC) pair of a VSI at a port.

    Attributes:
        binding: with the relay VID.
        local_vid: the VID of its frames at the port.
        group: GroupID of the VLAN, None if it has none.
        pcp: default priority, None if it has none.
    """

    binding: Binding
    local_vid: int | None
    group: int | None
    pcp: int | None


class VsiPortStatus(NamedTuple):
    """The VSI port behind which a VM is.

    Attributes:
        name: None: the station has yet to tell it.
        port_no: its OpenFlow number; None: it is not there.
    """

    name: str | None
    port_no: int | None


@dataclass(frozen=True, slots=True)
class AttachmentStatus:
    """A VSI at one port; times are monotonic seconds.

    Attributes:
        name: of the VM, if it is known.
        phase: state of its rules.
        mode, wanted: VDP mode in force, and requested, in lower case; None: none.
        type: the VSI type in force or, before there is one, the requested one; None: none was requested.
        since: None: not known, at a standby.
        deadline: None: none is running.
        awaited: purpose of a deadline in this state; None: there is none, and the VSI is no longer held here.
        in_force: its newest rules; None: none.
        retired: rules that are about to go.
        vsi_port: None: the VM is behind ``port`` itself.
    """

    port: PortId
    name: str | None
    phase: str
    mode: str | None
    wanted: str | None
    type: VsiTypeKey | None
    bindings: tuple[BindingStatus, ...]
    addresses: tuple[IpAddress, ...]
    since: float | None
    deadline: float | None
    awaited: str | None
    in_force: InstallationStatus | None
    retired: tuple[InstallationStatus, ...]
    vsi_port: VsiPortStatus | None


@dataclass(frozen=True, slots=True)
class VsiStatus:
    """One VSI: canonical text, the port of its gate, and all ports that it is at."""

    text: str
    owner: PortId | None
    attachments: tuple[AttachmentStatus, ...]

    @property
    def name(self) -> str | None:
        """Name of the VM; None: no station has told it."""
        return next((attachment.name for attachment in self.attachments if attachment.name), None)


class ForeseenFlip(NamedTuple):
    """Changes that an Associate of a VSI at a port would make now.

    Attributes:
        changes: by datapath id; None: they cannot be known beforehand.
    """

    port: PortId
    changes: Mapping[int, RuleChange] | None


class RuleUse(NamedTuple):
    """A VSI that needs a rule, and whether its gate leads there."""

    vsi: str
    active: bool


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """One move of one VSI; attributes as of :class:`~ryu_apps.evb.bridge.migrations.Migration`."""

    number: int
    vsi: str
    state: MigrationState
    source: PortId | None
    destination: PortId
    finished: bool
    services: Mapping[str, MigrationPart]
    steps: tuple[tuple[float, LogEvent], ...]


class VsiQueries:
    """The questions; see :class:`~ryu_apps.evb.bridge.queries.BridgeQueries`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._groups = {vid: group for group, vid in engine.fabric.groups.items()}

    def __len__(self) -> int:
        return len(self._engine.registry)

    def all(self, after: str = "") -> Iterator[VsiStatus]:
        """Return the VSIs behind a text, in the order of their texts; those that go meanwhile are left out."""
        chosen = sorted((vsi for vsi in self._engine.registry if vsi.text > after), key=lambda vsi: vsi.text)
        return (self._vsi(vsi) for vsi in chosen if vsi.attachments)

    def named(self, text: str) -> VsiStatus | None:
        """Return the VSI of a canonical text; None: it is at no port."""
        vsi = self._engine.registry.named(text)
        return None if vsi is None else self._vsi(vsi)

    def stale_switches(self, text: str) -> tuple[str, ...]:
        """Return the names of disconnected switches that hold rules of a released VSI."""
        switches = self._engine.fabric.switches
        return tuple(switches[dpid].name for dpid in self._engine.associations.stale_rules.of(text))

    def has_stale_rules(self, text: str) -> bool:
        """Return whether disconnected switches hold rules of a VSI, released or not."""
        return text in self._engine.associations.stale_rules

    # --- from state to values ---
    def _vsi(self, vsi: Vsi) -> VsiStatus:
        owner = vsi.owner.port if vsi.owner else None
        return VsiStatus(vsi.text, owner, tuple(map(self._attachment, vsi.attachments.values())))

    def _attachment(self, attachment: Attachment) -> AttachmentStatus:
        machine, program = attachment.machine, attachment.holding.program
        return AttachmentStatus(
            attachment.port,
            attachment.conversation.name,
            attachment.phase.value,
            machine.in_force.name.lower() if machine.in_force else None,
            machine.wanted.name.lower() if machine.wanted else None,
            _type(attachment),
            tuple(self._bindings(attachment)),
            tuple(attachment.addresses),
            attachment.since,
            machine.deadline,
            _AWAITED.get(machine.state),
            _installation(program) if program else None,
            tuple(map(_installation, attachment.holding.retired)),
            self._vsi_port(attachment),
        )

    def _vsi_port(self, attachment: Attachment) -> VsiPortStatus | None:
        if not attachment.vsi_port:
            return None
        if attachment.vsi_port == UNNAMED:
            return VsiPortStatus(None, None)
        there = self._engine.vsi_ports.interface(attachment.port.dpid, attachment.vsi_port)
        return VsiPortStatus(attachment.vsi_port, None if there is None else there.port_no)

    def _bindings(self, attachment: Attachment) -> Iterator[BindingStatus]:
        priorities = dict(attachment.priorities)
        for binding in attachment.bindings:
            local_vid = self._engine.fabric.vid_at(attachment.port, binding.vid)
            yield BindingStatus(binding, local_vid, self._groups.get(binding.vid), priorities.get(binding))

    # --- rules ---
    def rules(self, dpid: int) -> tuple[Rule, ...]:
        """Return the rules that a switch should hold."""
        return tuple(self._engine.wanted(dpid).rules.values())

    def groups(self, dpid: int) -> tuple[Group, ...]:
        """Return the groups that a switch should hold."""
        return self._engine.wanted.groups(dpid)

    def meters(self, dpid: int) -> tuple[Meter, ...]:
        """Return the meters of a switch that may drop a frame."""
        return self._engine.wanted.meters(dpid)

    def foreseen(self, text: str) -> list[ForeseenFlip]:
        """Return what an Associate of a VSI would change, at each port at which its gate is not open."""
        vsi, preparation = self._engine.registry.named(text), self._engine.lifecycle.preparation
        return [
            ForeseenFlip(attachment.port, preparation.foresee(attachment))
            for attachment in (vsi.attachments.values() if vsi is not None else ())
            if attachment.holding.program not in (None, attachment.vsi.gate_program)
        ]

    def rule_uses(self, dpid: int) -> dict[CookieOwner, tuple[RuleUse, ...]]:
        """Return the VSIs that need the rules of a switch, by kind and owner of the cookie."""
        uses: dict[CookieOwner, dict[RuleUse, None]] = defaultdict(dict)
        for vsi in self._engine.registry:
            for owner, open_gate in _owned(vsi, dpid):
                uses[owner][RuleUse(vsi.text, open_gate)] = None
        return {owner: tuple(found) for owner, found in uses.items()}

    # --- moves ---
    def migrations(self, vsi: str | None = None) -> Iterator[MigrationStatus]:
        """Return the remembered migrations, oldest first; of one VSI or of all."""
        chosen = [migration for migration in self._engine.migrations if vsi in (None, migration.vsi)]
        return map(_migration, chosen)

    def migration(self, number: int) -> MigrationStatus | None:
        """Return the migration of a number; None: there was none, or it is forgotten."""
        found = self._engine.migrations.get(number)
        return None if found is None else _migration(found)


def _type(attachment: Attachment) -> VsiTypeKey | None:
    if attachment.holding.program is not None:
        return attachment.holding.program.vsi_type.key
    newest = attachment.conversation.newest
    return VsiTypeKey(newest.type_id, newest.version) if newest else None


def _installation(program: Installation) -> InstallationStatus:
    return InstallationStatus(
        program.vsi_type.key,
        program.vsi_type.digest,
        program.phase.value,
        program.epoch,
        program.binding.vsi_index,
        program.binding.generation,
        program.rules,
        len(program.waiting),
        services_of(program.vsi_type),
        dict(program.carried),
        dict(program.fixed_up),
    )


def _owned(vsi: Vsi, dpid: int) -> Iterator[tuple[CookieOwner, bool]]:
    """Return what a VSI needs on a switch: kind and owner of the cookies, and whether its gate leads there."""
    for port, attachment in vsi.attachments.items():
        for program in attachment.holding.programs if port.dpid == dpid else ():
            in_force = program is vsi.gate_program
            yield (CookieKind.TYPE_BODY, program.epoch), in_force
            yield (CookieKind.VSI_BODY, program.binding.vsi_index), in_force
    if vsi.gate_program is not None:
        yield (CookieKind.GATE, vsi.gate_program.binding.vsi_index), True
    for where, vid, member in vsi.members:
        # A VSI without a MAC address has frames to unknown ones flooded everywhere.
        if where == dpid or member.mac is None:
            yield (CookieKind.MEMBERSHIP, vid), True


def _migration(migration: Migration) -> MigrationStatus:
    return MigrationStatus(
        migration.number,
        migration.vsi,
        migration.state,
        migration.source,
        migration.destination,
        migration.finished,
        {name: replace(part) for name, part in migration.services.items()},
        tuple(migration.steps),
    )
