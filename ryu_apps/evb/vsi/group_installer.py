"""Installation and removal of the rules of multicast groups, on all switches, while their programs are staged.

VSIs share these rules, so all changes of a VLAN's groups have a lane of their own: what is sent later is in force
later.  It is not the lane of the gates, which would wait for a thousand rules.  The rules are computed in slices, each
at a deadline of its own, so that a VSI with many groups does not delay the requests of others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ryu_apps.evb.events.effect import GATE_LANE, Mode
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.tokens import TokenOwner
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.multicast_groups import GroupChanges, MulticastGroups, VlanGroup
from ryu_apps.evb.vsi.pending import PendingChanges, group_lane
from ryu_apps.evb.vsi.registry import Attachment, Vsi
from ryu_apps.evb.vsi.steps import DeleteByCookie, PendingStep, Staging

#: Groups whose rules are computed at once; more of them are left to :meth:`GroupInstaller.tick`, so many each time.
_AT_ONCE, SLICE = 16, 100


@dataclass(eq=False, slots=True)
class _GroupWork:
    """Changes that a step waits for.

    Attributes:
        dpid: the switch of the VSI; the step does not wait for others that are lost.
        left: groups whose rules are not computed yet.
        tokens: of changes that switches have not confirmed yet.
    """

    dpid: int
    left: set[VlanGroup] = field(default_factory=set)
    tokens: set[int] = field(default_factory=set)

    @property
    def done(self) -> bool:
        return not self.left and not self.tokens


class GroupInstaller(TokenOwner):
    """Rules of groups in all switches.

    Attributes:
        refused: called with switch, reason and time when a switch refuses a rule.
        finished: called with the token of a step, and the reason of a failure (None: there is none).
    """

    def __init__(self, groups: MulticastGroups, pending: PendingChanges) -> None:
        self.refused: Callable[[int, str, float], None] = lambda dpid, reason, now: None
        self.finished: Callable[[int, str | None], None] = lambda token, failure: None
        self._groups = groups
        self._pending = pending
        self._works: dict[int, _GroupWork] = {}
        self._waiting: dict[int, list[int]] = {}
        #: Programs to be taken out, the switch of each, and the token of the step that waits for it.
        self._leaving: dict[Installation, tuple[int, int]] = {}
        self._due: float | None = None

    @property
    def deadline(self) -> float | None:
        """Time at which to call :meth:`tick`, monotonic seconds."""
        return self._due

    def stage(self, attachment: Attachment, program: Installation) -> None:
        """Install the groups of a program, which waits for it."""
        changes = self._groups.place(attachment.vsi, attachment.port.dpid, program)
        token = self._begin(changes, attachment.port.dpid, Staging([(attachment, program)]))
        if token is not None:
            program.waiting += (token,)

    def withdraw(self, attachment: Attachment, program: Installation) -> None:
        """Remove the groups of a program, whose gate is shut."""
        dpid, step = attachment.port.dpid, DeleteByCookie(attachment)
        if self._groups.count(program) > _AT_ONCE:
            # Not at once: the answer to the station where the VSI is now goes first.
            token = self._pending.defer(step)
            self._leaving[program] = dpid, token
            attachment.holding.sweeping += (token,)
        elif (begun := self._begin(self._groups.withdraw(program), dpid, step)) is not None:
            attachment.holding.sweeping += (begun,)

    def count(self, program: Installation) -> int:
        """Return the number of groups that a program receives, or would if its gate were open."""
        return self._groups.count(program)

    def refresh(self, vsi: Vsi) -> None:
        """Update the groups at each port of a VSI whose memberships have changed."""
        self._groups.refresh(vsi)
        self._compute_few()

    def rewire(self) -> dict[int, RuleChange]:
        """Update the groups to a new broadcast tree.

        Returns:
            The change of each switch that has to come with that of the tree.  That of the groups may come later: no
            rule sends a copy to a trunk that is not in the tree.
        """
        changes = self._groups.rewire()
        self._compute_few()
        return changes

    def resume(self, attachment: Attachment, program: Installation) -> None:
        """Take up the groups of a program that the switches have; :meth:`resumed` is due behind the last one."""
        self._groups.place(attachment.vsi, attachment.port.dpid, program)
        # The memberships of a VSI are those of its owner's record, which may come behind that of a staged port.
        self._groups.refresh(attachment.vsi)

    def retire(self, program: Installation) -> None:
        """Take out of the books what :meth:`resume` has taken up; :meth:`resumed` is due behind the last one."""
        self._groups.withdraw(program)

    def resumed(self) -> None:
        """Compute the rules of all groups that were taken up."""
        self._groups.rebase_all()
        self._groups.compute()

    # --- time ---
    def planned(self, now: float) -> None:
        """Set the deadline of the next slice."""
        self._due = now if self._leaving or self._groups.stale else None

    def tick(self, now: float) -> None:
        """Take out the next program, and compute the next slice."""
        if self._due is None or self._due > now:
            return
        for program, (dpid, token) in list(self._leaving.items())[:1]:
            del self._leaving[program]
            # Not before: work without changes is taken for done, and others may leave at the same time.
            self._works[token] = _GroupWork(dpid)
            self._follow(token, self._groups.withdraw(program))
        self._compute(SLICE)
        for token in [token for token, work in self._works.items() if work.done]:
            self._finish(token, None, now)

    # --- answers ---
    def confirmed(self, dpid: int, token: int, now: float) -> None:
        """Process the confirmation of a change."""
        for waiting in self._waiting.pop(token, ()):
            self._answered(waiting, token, None, now)

    def rejected(self, dpid: int, token: int, reason: str, now: float) -> None:
        """Process the refusal of a change, or its loss with the switch."""
        self.refused(dpid, reason, now)
        lost = dpid not in self._pending.up
        for waiting in self._waiting.pop(token, ()):
            # A lost switch that is not the VSI's own gets the groups when it returns.
            elsewhere = lost and waiting in self._works and self._works[waiting].dpid != dpid
            self._answered(waiting, token, None if elsewhere else f"{dpid:016x}: {reason}", now)

    def _answered(self, waiting: int, token: int, failure: str | None, now: float) -> None:
        work = self._works.get(waiting)
        if work is not None:
            work.tokens.discard(token)
            if failure is not None or work.done:
                self._finish(waiting, failure, now)

    def _finish(self, token: int, failure: str | None, now: float) -> None:
        del self._works[token]
        self.finished(token, failure)

    # --- work ---
    def _begin(self, changes: GroupChanges, dpid: int, step: PendingStep) -> int | None:
        """Begin work; returns the token of its step, None: it is done, or there is none."""
        token = self._open(dpid, step)
        self._follow(token, changes)
        if not self._works[token].done:
            return token
        del self._works[token], self._pending.steps[token]
        return None

    def _open(self, dpid: int, step: PendingStep) -> int:
        token = self._pending.defer(step)
        self._works[token] = _GroupWork(dpid)
        return token

    def _follow(self, token: int, changes: GroupChanges) -> None:
        self._works[token].left |= changes.touched
        sent = [self._send(dpid, change, Mode.ATOMIC, GATE_LANE) for dpid, change in sorted(changes.common.items())]
        self._wait(sent, [token])
        self._compute_few()

    def _compute_few(self) -> None:
        if len(self._groups.stale) <= _AT_ONCE:
            self._compute(_AT_ONCE)

    def _compute(self, most: int) -> None:
        computed, changes = self._groups.compute(most)
        sent = [self._send(dpid, change, Mode.BULK, group_lane(vid)) for (dpid, vid), change in sorted(changes.items())]
        waiting = [token for token, work in self._works.items() if not work.left.isdisjoint(computed)]
        for token in waiting:
            self._works[token].left -= computed
        self._wait(sent, waiting)

    def _send(self, dpid: int, change: RuleChange, mode: Mode, lane: int) -> int | None:
        """Send a change; None: the switch is away, and is compared when it returns."""
        return self._pending.send(dpid, change, mode, lane, self) if dpid in self._pending.up else None

    def _wait(self, sent: Iterable[int | None], waiting: list[int]) -> None:
        for token in sent:
            if token is not None:
                self._waiting[token] = waiting
                for step in waiting:
                    self._works[step].tokens.add(token)
