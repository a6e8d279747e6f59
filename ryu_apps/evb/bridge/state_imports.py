"""State of VSIs that an NMS brings over REST: staged behind the gate of a reservation, as if it came from a switch.

There is no second reading behind the open gate, as there is between two switches or pods of one controller: who brings
the state brings the last of it before the Associate.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from enum import Enum
from typing import NamedTuple

import msgpack

from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import Phase
from ryu_apps.evb.pipeline.tables import Direction
from ryu_apps.evb.pods.state_document import Totals, VsiState
from ryu_apps.evb.services.body import carried_state, multicast_of, state_capacity
from ryu_apps.evb.services.learnable import LearnableState
from ryu_apps.evb.snooping.listener import MembershipTable
from ryu_apps.evb.snooping.memory import unpack
from ryu_apps.evb.tokens import TokenOwner
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.lifecycle import Lifecycle
from ryu_apps.evb.vsi.records.attachment import RecordError
from ryu_apps.evb.vsi.registry import Attachment, Registry, Vsi
from ryu_apps.evb.vsi.statistics.totals import CounterValue, pack_base, unpack_base

_Reservations = Mapping[Attachment, Installation]


class Cause(Enum):
    """Reasons for which state is not taken."""

    UNKNOWN = "unknown"
    """The VSI is reserved at no port."""
    ACTIVE = "active"
    """The VSI has an open gate, and its switch learns for itself."""
    ROOM = "room"
    """There is more of it than the VSI type has room for."""
    AWAY = "away"
    """A switch is not connected."""
    FOREIGN = "foreign"
    """It is not what a switch could have learned for the VSI."""


class Objection(NamedTuple):
    """A reason for which state is not taken, and the same in words."""

    cause: Cause
    reason: str


class StagedState(NamedTuple):
    """State that is staged for a VSI that is active nowhere.

    Attributes:
        port: of the reservation.
        services: number of rules by service.
    """

    port: str
    services: Mapping[str, int]


class StateImports(TokenOwner):
    """State that an NMS has brought, until the gate opens."""

    def __init__(self, registry: Registry, lifecycle: Lifecycle) -> None:
        self._registry = registry
        self._lifecycle = lifecycle
        self._writing: dict[int, str] = {}
        self._failures: dict[str, str] = {}

    def objection(self, state: VsiState) -> Objection | None:
        """Return why the state of a VSI cannot be staged; None: it can."""
        vsi = self._registry.named(state.vsi)
        if vsi is not None and vsi.owner is not None:
            return Objection(
                Cause.ACTIVE, f"VSI {state.vsi} is active at {vsi.owner.port}: its switch learns for itself"
            )
        reserved = _reservations(vsi)
        if vsi is not None and vsi.left is not None:
            return Objection(
                Cause.ACTIVE, f"VSI {state.vsi} was active here last: switch {vsi.left.dpid:016x} has its state"
            )
        if not reserved:
            return Objection(Cause.UNKNOWN, f"VSI {state.vsi} is reserved at no port")
        for attachment, program in reserved.items():
            if (found := self._objection_of(state, attachment, program)) is not None:
                return found
        try:
            unpack(MembershipTable(), state.memberships or msgpack.packb([]), 0.0)
        except (ValueError, TypeError, msgpack.UnpackException) as error:
            return Objection(Cause.FOREIGN, f"memberships: {type(error).__name__} {error}")
        return None

    def _objection_of(self, state: VsiState, attachment: Attachment, program: Installation) -> Objection | None:
        dpid = attachment.port.dpid
        if dpid not in self._lifecycle.up:
            return Objection(Cause.AWAY, f"switch {dpid:016x} is not connected")
        found, room = _carried(state, program), state_capacity(program.vsi_type)
        if len(found) > room:
            return Objection(Cause.ROOM, f"{len(found)} rules of state, the VSI type has room for {room}")
        learnable = LearnableState(program.vsi_type, program.binding)
        strange = next((number for number, rule in enumerate(found) if rule not in learnable), None)
        if strange is None:
            return None
        return Objection(
            Cause.FOREIGN,
            f"rules: no switch learns such a rule for VSI type {program.vsi_type.key}: {found[strange].match}",
        )

    def given(self, state: VsiState, now: float) -> None:
        """Stage the state of a VSI to which there is no objection."""
        vsi = self._registry.named(state.vsi)
        if vsi is None:
            return
        for attachment, program in _reservations(vsi).items():
            if state_capacity(program.vsi_type):
                self._lifecycle.refresh.replace(attachment, program, _carried(state, program), now)
        self._take_memberships(vsi, state, now)
        vsi.brought = b"" if state.totals is None else pack_base(_base(state.totals))
        # A restart before the Associate must not lose it: the NMS has been answered, and does not bring it again.
        self._failures = {text: reason for text, reason in self._failures.items() if self._registry.named(text)}
        self._failures.pop(state.vsi, None)
        if token := self._lifecycle.grants.record_brought(_reservations(vsi), self):
            self._writing[token] = state.vsi

    def _take_memberships(self, vsi: Vsi, state: VsiState, now: float) -> None:
        brought = MembershipTable()
        if state.memberships:
            unpack(brought, state.memberships, now)
        vsi.listener.memberships.clear()
        vsi.listener.packed = None
        for program in _reservations(vsi).values():
            bindings = program.binding.bindings
            if (multicast := multicast_of(program.vsi_type, bindings)) is not None:
                vsi.listener.adopt(brought.memberships, bindings, multicast)
        self._lifecycle.groups.refresh(vsi)

    def saved(self, token: int, failure: str | None, now: float) -> None:
        """Process the end of a writing."""
        vsi = self._writing.pop(token, "")
        if failure is not None:
            self._failures[vsi] = failure

    def opened(self, vsi: Vsi) -> None:
        """Populate the totals of a VSI whose gate has opened."""
        if not vsi.brought or vsi.owner is None:
            return
        brought, vsi.brought = vsi.brought, b""
        # A record that is damaged costs the earlier totals, and nothing else.
        with suppress(RecordError):
            base = unpack_base(brought)
            # In one writing: a record with totals tells a restart that no account has them.
            self._lifecycle.counters.populate(vsi, base, self._lifecycle.grants.opened(vsi.owner))

    def resumed(self) -> None:
        """Populate the totals of VSIs whose gates were open when the last bridge ended, before it could do so."""
        for vsi in self._registry:
            if vsi.brought:
                self.opened(vsi)

    # --- questions ---
    def is_written(self, vsi: str) -> bool:
        """True if the switches and the store have confirmed all that was staged for a VSI."""
        found = self._registry.named(vsi)
        if vsi in self._writing.values():
            return False
        return found is None or not self._lifecycle.refresh.is_writing(set(found.attachments.values()))

    def failure(self, vsi: str) -> str | None:
        """Return why the store does not hold what was staged last for a VSI; None: it does."""
        return self._failures.get(vsi)

    def staged(self, vsi: str) -> list[StagedState]:
        """Return what is staged for a VSI, by port."""
        reserved = _reservations(self._registry.named(vsi))
        return [StagedState(str(attachment.port), dict(program.carried)) for attachment, program in reserved.items()]


def _reservations(vsi: Vsi | None) -> dict[Attachment, Installation]:
    """The programs of a VSI that are staged, and confirmed."""
    return {
        attachment: program
        for attachment in (() if vsi is None else vsi.attachments.values())
        if attachment.present and (program := attachment.holding.program) is not None and program.phase is Phase.STAGED
    }


def _base(totals: Totals) -> dict[Direction, CounterValue]:
    from_vm, to_vm = totals
    return {Direction.FROM_VM: CounterValue(*from_vm), Direction.TO_VM: CounterValue(*to_vm)}


def _carried(state: VsiState, program: Installation) -> list[Rule]:
    return carried_state(program.vsi_type, state.rules, program.binding)
