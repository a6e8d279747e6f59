"""Copies of frames to VMs that move, at both ends of the move (``converge: copy``).

From the staging on, and again when the source reports the VM as suspended, the switches that are neither end send what
is for the VM to both.  First the destination guards itself, then they begin; each step waits for its confirmations.
When the gate moves, the ends alone decide who delivers: the Associate waits for them, and the others follow.

Nothing here has to be taken back for safety.  A guard drops, or leads through the shut meter of a staged gate; all
rules have timeouts, those of guards the longer ones.  A controller that is new deletes what it finds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ryu_apps.evb.deadlines import DeadlineQueue
from ryu_apps.evb.event_catalogue.vsis import CopiesBegun
from ryu_apps.evb.events.effect import GATE_LANE, Mode
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.plan import RuleSet
from ryu_apps.evb.model import Phase
from ryu_apps.evb.pipeline.copies import GUARD_SECONDS, SECONDS
from ryu_apps.evb.pipeline.tables import CookieKind, cookie
from ryu_apps.evb.tokens import TokenOwner
from ryu_apps.evb.topology.copy_plans import CopyPlans
from ryu_apps.evb.topology.fabric import Converge, Fabric
from ryu_apps.evb.topology.graph import TrunkGraph
from ryu_apps.evb.vsi.copied_vsi import Copy, Step, composed
from ryu_apps.evb.vsi.in_flight import InFlight
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.pending import PendingChanges
from ryu_apps.evb.vsi.registry import Attachment, Vsi
from ryu_apps.evb.vsi.reservation import Reservations
from ryu_apps.evb.vsi.steering import passed_frames

#: Most VSIs that are copied at a time.
MOST = 64
#: Seconds before the end of copies from which an Associate does not rely on them; and in which a switch confirms.
_MARGIN = 2.0


class CopiedMove(NamedTuple):
    """A move of a gate that uses copies.

    Attributes:
        shield: guards of the switch that the VSI leaves, in place of a detour; None: it may have a detour.
        followers: switches whose part of the move the Associate does not wait for.
    """

    shield: RuleSet | None = None
    followers: frozenset[int] = frozenset()


_PLAIN = CopiedMove()


class Copies(TokenOwner):
    """Copies of all VSIs.

    Attributes:
        version: grows with each copy that begins or ends.
    """

    def __init__(self, fabric: Fabric, wiring: TrunkGraph, ledger: Reservations, in_flight: InFlight) -> None:
        extended = all(switch.extended for switch in fabric.switches.values())
        self._used = fabric.converge is Converge.COPY and extended
        self._fabric, self._wiring = fabric, wiring
        self._plans = CopyPlans(wiring)
        self._ledger = ledger
        self._in_flight = in_flight
        self._copies: dict[Vsi, Copy] = {}
        self._by_token: dict[int, Copy] = {}
        self._agenda: DeadlineQueue[Vsi] = DeadlineQueue()
        self._pending: PendingChanges | None = None
        self.version = 0

    def attach(self, pending: PendingChanges) -> None:
        """Name the sender of changes; without one nothing is copied."""
        self._pending = pending if self._used else None

    @property
    def deadline(self) -> float | None:
        """Time at which to call :meth:`tick`, monotonic seconds; None: nothing is copied."""
        return self._agenda.deadline

    def of(self, vsi: Vsi) -> Copy | None:
        """Return the copy of a VSI that has not begun to end; None: there is none."""
        found = self._copies.get(vsi)
        return None if found is None or found.step is Step.END else found

    # --- begin ---
    def begin(self, attachment: Attachment, program: Installation) -> None:
        """Begin to copy what is for a VSI to a staged attachment of it, or begin the time of that anew."""
        pending, vsi = self._pending, attachment.vsi
        if pending is None:
            return
        present = self._copies.get(vsi)
        if present is None:
            made = self._made(attachment, program, pending)
            if made is None or self._ledger.reserve(*made.demands) is not None:
                return
            self._copies[vsi] = made
            self.version += 1
            self._guard(made, pending)
        elif present.program is program and present.step is Step.IN_FORCE and _ages(present, pending.now):
            self._guard(present, pending)

    def _made(self, attachment: Attachment, program: Installation, pending: PendingChanges) -> Copy | None:
        """Return the copy that an attachment would have; None: it can have none."""
        vsi, destination = attachment.vsi, attachment.port.dpid
        if vsi.owner is None or vsi.gate_program is None or program.phase is not Phase.STAGED:
            return None
        source = vsi.owner.port.dpid
        bindings = program.binding.bindings
        # Plans are made of the routes of VLANs that use all trunks.
        whole_vid = any(pair.mac is None for pair in bindings)
        other_routes = self._wiring.plane_of(program.binding.vids) is not None
        if source == destination or whole_vid or other_routes or self._in_flight.has(vsi) or len(self._copies) >= MOST:
            return None
        plan = self._plans.between(source, destination)
        # A switch that is away could not be told to end it.
        if plan is None or not {source, *self._wiring.others(source)} <= pending.up:
            return None
        passed = tuple(found for found, _ in passed_frames(self._fabric, program))
        return composed(self._wiring, plan, attachment, program, source, passed)

    def _guard(self, copy: Copy, pending: PendingChanges) -> None:
        copy.step, copy.guarded = Step.GUARD, pending.now
        self._agenda.set(copy.attachment.vsi, pending.now + GUARD_SECONDS + _MARGIN)
        self._send(copy, pending, {copy.destination: RuleChange(add=tuple(copy.guards.values()))})
        if not copy.waiting:
            self._copy(copy, pending)

    def _copy(self, copy: Copy, pending: PendingChanges) -> None:
        copy.step, copy.until = Step.COPY, pending.now + SECONDS
        self._send(copy, pending, {dpid: RuleChange(add=tuple(rules.values())) for dpid, rules in copy.copying.items()})
        if not copy.waiting:
            self._in_force(copy, pending)

    @staticmethod
    def _in_force(copy: Copy, pending: PendingChanges) -> None:
        copy.step = Step.IN_FORCE
        pending.log(CopiesBegun, copy.attachment, switches=len(copy.copying), seconds=SECONDS)

    def _send(self, copy: Copy, pending: PendingChanges, changes: dict[int, RuleChange]) -> None:
        for dpid, change in sorted(changes.items()):
            if change and dpid in pending.up:
                token = pending.send(dpid, change, Mode.ATOMIC, GATE_LANE, self)
                copy.waiting.add(token)
                self._by_token[token] = copy

    # --- moves ---
    def removed_by(self, owner: Attachment | None, program: Installation | None) -> dict[int, RuleChange]:
        """Return what goes with a move of the gate to an attachment, by switch: the rules of its copies."""
        copy = None if owner is None else self.of(owner.vsi)
        if copy is None or copy.attachment is not owner or copy.program is not program:
            return {}
        found = {dpid: RuleChange(remove=tuple(rules.values())) for dpid, rules in copy.rules.items()}
        return {dpid: change for dpid, change in found.items() if change}

    def is_shielded(self, owner: Attachment, program: Installation) -> bool | None:
        """True if the switch that the VSI leaves will drop copies; None: copies for another place would end."""
        copy = self._copies.get(owner.vsi)
        if copy is None:
            return False
        if not copy.serves(owner, program):
            return None
        return self.shield(owner.vsi) is not None

    def shield(self, vsi: Vsi) -> RuleSet | None:
        """Return the rules that drop copies at the switch that a VSI leaves, if it moves to where they lead."""
        copy = self._copies.get(vsi)
        return copy.returning if copy is not None and copy.until and copy.returning else None

    def moved(self, vsi: Vsi, owner: Attachment | None, program: Installation | None) -> CopiedMove:
        """Take the copies of a VSI that is about to be at another port, or at none."""
        copy = self._copies.get(vsi)
        if copy is None:
            return _PLAIN
        if not copy.serves(owner, program):
            self._end(copy)
            return _PLAIN
        shield = self.shield(vsi)
        followers = self._followers(copy)
        self._forget(copy)
        return CopiedMove(shield=shield, followers=followers)

    def _followers(self, copy: Copy) -> frozenset[int]:
        pending = self._pending
        others = frozenset(self._wiring.others(copy.source)) - {copy.destination}
        if pending is None or copy.step is not Step.IN_FORCE or not others <= pending.up:
            return frozenset()
        return others if pending.now < copy.until - _MARGIN else frozenset()

    # --- the end ---
    def dismiss(self, attachment: Attachment) -> None:
        """End the copies for an attachment whose program is to go."""
        copy = self.of(attachment.vsi)
        if copy is not None and copy.attachment is attachment:
            staged = copy.program in attachment.holding.programs and not copy.program.leaving
            if not staged or attachment.holding.releasing:
                self._end(copy)

    def end_all(self, dpid: int | None = None) -> None:
        """End all copies, or those in which a switch takes part: the routes change, or the switch has lost rules."""
        for copy in list(self._copies.values()):
            if dpid is None or dpid in (copy.source, *copy.rules):
                self._end(copy)

    def _end(self, copy: Copy) -> None:
        pending = self._pending
        if copy.step is Step.END or pending is None:
            return
        copy.step = Step.END
        self.version += 1
        self._drop_tokens(copy)
        # A switch that is away goes on until its rules end; the guards stay for that time.
        lost = not copy.copying.keys() <= pending.up
        if copy.until:
            self._send(copy, pending, {dpid: _removal(rules) for dpid, rules in copy.copying.items()})
        if not copy.waiting and not lost:
            self._unguard(copy, pending)

    def _unguard(self, copy: Copy, pending: PendingChanges) -> None:
        if copy.destination in pending.up and copy.guards:
            pending.send(copy.destination, _removal(copy.guards), Mode.ATOMIC, GATE_LANE)
        self._forget(copy)

    def _forget(self, copy: Copy) -> None:
        self._drop_tokens(copy)
        self._agenda.set(copy.attachment.vsi, None)
        del self._copies[copy.attachment.vsi]
        self.version += 1
        for demand in copy.demands:
            self._ledger.release(demand.dpid, demand.owner)

    def _drop_tokens(self, copy: Copy) -> None:
        for token in copy.waiting:
            del self._by_token[token]
        copy.waiting.clear()

    def tick(self, now: float) -> None:
        """Forget copies that the switches have ended by themselves."""
        for vsi in list(self._agenda.due(now)):
            self._forget(self._copies[vsi])

    # --- answers ---
    def confirmed(self, dpid: int, token: int, now: float) -> None:
        """Go on when a step is confirmed by all switches."""
        copy = self._by_token.pop(token, None)
        if copy is None or self._pending is None:
            return
        copy.waiting.discard(token)
        if copy.waiting:
            return
        if copy.step is Step.END:
            self._unguard(copy, self._pending)
        elif now > copy.guarded + _MARGIN:
            # A switch so slow may copy for longer than the destination guards itself.
            self._end(copy)
        elif copy.step is Step.GUARD:
            self._copy(copy, self._pending)
        else:
            self._in_force(copy, self._pending)

    def rejected(self, dpid: int, token: int, reason: str, now: float) -> None:
        """End the copies of which a switch has refused a rule, or is lost; the guards end by themselves then."""
        copy = self._by_token.pop(token, None)
        if copy is not None:
            copy.waiting.discard(token)
            self._end(copy)

    def cookies(self, dpid: int) -> Iterator[int]:
        """Cookies of rules of copies that a switch may have, and may have ended already."""
        for copy in self._copies.values():
            if dpid in copy.rules:
                yield cookie(CookieKind.DETOUR, copy.program.binding.vsi_index, copy.program.binding.generation)


def _ages(copy: Copy, now: float) -> bool:
    return now > copy.until - SECONDS / 2


def _removal(rules: RuleSet) -> RuleChange:
    return RuleChange(remove=tuple(rules.values()))
