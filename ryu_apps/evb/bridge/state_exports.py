"""State of VSIs for other pods: read from the switch of an open gate, or once more when the gate is shut for good."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import CookieKind, Direction, owned_by
from ryu_apps.evb.pods.state_document import MAX_RULES, VsiState
from ryu_apps.evb.services.body import state_capacity
from ryu_apps.evb.snooping.memory import pack
from ryu_apps.evb.tokens import TokenOwner
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.lifecycle import Lifecycle
from ryu_apps.evb.vsi.registry import Attachment, Registry

#: Seconds for which the state of a VSI that has left is kept, and after a question in which it is read when it leaves.
KEPT, ASKED = 60.0, 600.0
#: VSIs whose state is kept, and that are remembered as asked for.
_MOST, _MOST_ASKED = 256, 4096


@dataclass(eq=False, slots=True)
class Export:
    """State of one VSI.

    Attributes:
        state: what is known at once; the rules follow.
        until: time until which it is kept, monotonic seconds.
        complete: the switch has shown everything.
        failure: why it cannot be read.
    """

    state: VsiState
    until: float
    rules: list[Rule] = field(default_factory=list)
    complete: bool = False
    failure: str | None = None


class ExportStatus(NamedTuple):
    """State of a VSI as far as it is known.

    Attributes:
        complete: nothing is awaited.
        failure: why it cannot be had.
    """

    state: VsiState
    complete: bool
    failure: str | None


class StateExports(TokenOwner):
    """State that other pods have asked for."""

    def __init__(self, registry: Registry, lifecycle: Lifecycle) -> None:
        self._registry = registry
        self._lifecycle = lifecycle
        self._pending = lifecycle.pending
        self._exports: dict[str, Export] = {}
        self._reading: dict[int, Export] = {}
        self._asked: dict[str, float] = {}
        lifecycle.withdrawal.departing = self.departing

    def wanted(self, vsi: str) -> None:
        """Read the state of a VSI that is active; note that another pod wants what there is when it leaves."""
        self.expect(vsi)
        found = self._registry.named(vsi)
        if found is not None and found.owner is not None and found.gate_program is not None:
            self._begin(found.owner, found.gate_program, final=False)

    def expect(self, vsi: str) -> None:
        """Read the state of a VSI when it leaves."""
        self._asked.pop(vsi, None)
        self._asked[vsi] = self._pending.now
        while len(self._asked) > _MOST_ASKED:
            del self._asked[next(iter(self._asked))]

    def departing(self, attachment: Attachment, program: Installation) -> None:
        """Read the state of a VSI whose gate is being shut; its body is removed behind that."""
        asked = self._asked.pop(attachment.text, None)
        if asked is not None and asked + ASKED >= self._pending.now:
            self._begin(attachment, program, final=True)

    def status(self, vsi: str) -> ExportStatus | None:
        """Return what is known of a VSI; None: nothing."""
        export = self._exports.get(vsi)
        if export is None or export.until < self._pending.now:
            return None
        state = export.state._replace(rules=tuple(export.rules), totals=self._totals(vsi))
        return ExportStatus(state, export.complete, export.failure)

    def _begin(self, attachment: Attachment, program: Installation, final: bool) -> None:
        vsi_type, dpid = program.vsi_type, attachment.port.dpid
        state = VsiState(attachment.text, str(vsi_type.key), vsi_type.digest, final)
        if attachment.vsi.listener.memberships:
            state = state._replace(memberships=pack(attachment.vsi.listener))
        export = Export(state, self._pending.now + KEPT)
        self._keep(attachment.text, export)
        if not state_capacity(vsi_type):
            export.complete = True
        elif dpid not in self._pending.up:
            export.failure = f"{dpid:016x}: switch not connected"
        else:
            mask = owned_by(CookieKind.STATE, program.binding.vsi_index, program.binding.generation)
            self._reading[self._pending.read(dpid, mask, program.binding.vsi_index, owner=self)] = export

    def _keep(self, vsi: str, export: Export) -> None:
        now = self._pending.now
        self._exports.pop(vsi, None)
        over = [known for known, held in self._exports.items() if held.until < now]
        for known in over or list(self._exports)[: max(0, len(self._exports) + 1 - _MOST)]:
            del self._exports[known]
        self._exports[vsi] = export

    def _totals(self, vsi: str) -> tuple[tuple[int, int], tuple[int, int]] | None:
        accounts = self._lifecycle.counters.accounts.of(vsi)
        if not accounts:
            return None
        from_vm, to_vm = (tuple(accounts[-1].total(way)) for way in (Direction.FROM_VM, Direction.TO_VM))
        return (from_vm[0], from_vm[1]), (to_vm[0], to_vm[1])

    # --- answers ---
    def rules_shown(self, dpid: int, token: int, rules: tuple[Rule, ...], now: float) -> None:
        """Take a portion of the state that a switch shows."""
        export = self._reading[token]
        export.rules.extend(rules)
        if len(export.rules) > MAX_RULES:
            del export.rules[MAX_RULES:]
            export.failure = f"more than {MAX_RULES} rules"

    def rules_read(self, dpid: int, token: int, rules: tuple[Rule, ...], now: float) -> None:
        """Take the last portion."""
        self.rules_shown(dpid, token, rules, now)
        self._reading.pop(token).complete = True

    def rejected(self, dpid: int, token: int, reason: str, now: float) -> None:
        """Note that a switch cannot be read."""
        self._reading.pop(token).failure = reason
