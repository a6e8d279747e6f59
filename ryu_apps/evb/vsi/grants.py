"""Grants on their way into the store: a station is answered when the store holds what it was granted.

After a restart the controller has every VSI of which a station has an answer.  The records of a move are written while
the switches carry it out, with a mark; if they do not, the former records are written again before the station is
refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ryu_apps.evb.protocol.vdp_bridge import Denied
from ryu_apps.evb.tokens import TokenOwner
from ryu_apps.evb.vsi.pending import PendingChanges
from ryu_apps.evb.vsi.records.keeper import RecordChanges, RecordKeeper
from ryu_apps.evb.vsi.records.opening import mark_key
from ryu_apps.evb.vsi.registry import Attachment, Vsi
from ryu_apps.evb.vsi.steps import Forgetting, GateSwitch, Granting, TakingBack
from ryu_apps.evb.wire.vdp import VdpMode

#: Seconds after the confirmation of a gate in which further marks join the one deletion of all.
_MARKED = 0.25


class Grants:
    """Writings of records of attachments.

    Attributes:
        deadline: time at which to call :meth:`tick`, monotonic seconds; None: no mark is to be deleted.
    """

    def __init__(self, records: RecordKeeper, pending: PendingChanges) -> None:
        self.deadline: float | None = None
        self._records = records
        self._pending = pending

    def grant(self, attachment: Attachment) -> None:
        """Write what an attachment is granted; the station is answered after that."""
        mode = attachment.machine.wanted
        assert mode is not None
        # With the attempt: a request that comes while the store writes is another one, which this does not grant.
        token = self._pending.write(self._records.grant({attachment: mode}))
        attachment.holding.recorded = attachment.machine.attempt
        self._pending.steps[token] = Granting(attachment, attachment.machine.attempt)

    def record(self, attachment: Attachment) -> None:
        """Write again what is in force at an attachment."""
        self._pending.write(self._records.keep([attachment]))

    # --- moves ---
    def record_move(self, gate_switch: GateSwitch) -> None:
        """Write a move that is on its way to the switches: the new owner, those that it displaces, and a mark, at once.

        It is confirmed when the store and all switches have.
        """
        # One transaction: a controller that ends between two would find two owners of a VSI.
        attachment, records = gate_switch.attachment, self._records
        gate_switch.overtaken += records.outdated(attachment.vsi)
        gate_switch.voided = _announced(attachment)
        # In the same one: a restart must not revive an announcement that was made to the last owner.
        others = dict.fromkeys(
            (*gate_switch.overtaken, *gate_switch.displaced, *gate_switch.voided, *_withdrawn(attachment.vsi))
        )
        others.pop(attachment, None)
        changes = {
            **records.keep(others, gate_switch.voided),
            **records.grant({attachment: VdpMode.ASSOCIATE}),
            **records.mark(attachment, gate_switch.displaced),
        }
        gate_switch.recorded = (attachment, *others)
        token = self._pending.write(changes)
        gate_switch.waiting.add(token)
        self._pending.steps[token] = gate_switch

    def not_recorded(self, gate_switch: GateSwitch) -> None:
        """Note that the store has failed to write a move."""
        gate_switch.recorded = gate_switch.overtaken

    def confirmed(self, gate_switch: GateSwitch) -> None:
        """Note that the store and all switches have confirmed a move, which is final."""
        for attachment in gate_switch.voided:
            attachment.conversation.announced = False
        self._records.kept(gate_switch.attachment)
        self.unmark(mark_key(gate_switch.attachment), self._pending.now)

    def take_back(self, gate_switch: GateSwitch, denied: Denied | None = None) -> None:
        """Write the records of before a move that is not made; ``denied`` is fed to the machine after that."""
        self._keep(gate_switch.attachment, gate_switch.recorded, denied)

    def taken_back(self, step: TakingBack, failure: str | None) -> None:
        """Process the end of that; the station does not wait for a writing that has to be repeated."""
        if failure is not None:
            self._records.not_kept(step.recorded)
            for attachment in step.recorded:
                self._records.marks.put(mark_key(attachment))
        if step.denied is not None:
            self._pending.decide(step.attachment, step.denied)

    def _keep(self, attachment: Attachment, recorded: tuple[Attachment, ...], denied: Denied | None = None) -> None:
        marks = [mark_key(other) for other in recorded]
        for key in marks:
            self._records.marks.forget(key)
        token = self._pending.write({**self._records.keep(recorded), **self._records.drop(frozenset(marks))})
        self._pending.steps[token] = TakingBack(attachment, recorded, denied)

    # --- marks ---
    def marked(self, key: str) -> None:
        """Note a mark that an earlier life of the bridge, or the last leader, has left in the store."""
        self._records.marks.put(key)

    def unmark(self, key: str, now: float) -> None:
        """Let a mark be deleted; nothing waits for that."""
        self._records.marks.confirm(key)
        if self.deadline is None:
            self.deadline = now + _MARKED

    def withdraw_mark(self, attachment: Attachment) -> None:
        """Delete the mark of a gate that is about to be shut."""
        # Else a bridge that ends meanwhile leaves the mark without the gate, as if the gate had still to be opened.
        key = mark_key(attachment)
        if self._records.marks.forget(key):
            self.forget(None, frozenset((key,)))

    def tick(self, now: float) -> None:
        """Delete the marks of gates that are confirmed, all at once."""
        if self.deadline is None or self.deadline > now:
            return
        self.deadline = None
        if keys := self._records.marks.take_confirmed():
            self.forget(None, keys)

    def record_brought(self, attachments: Iterable[Attachment], owner: TokenOwner) -> int:
        """Write reservations again with what an NMS has brought for their VSI.

        Returns:
            The token of the writing; 0: there is nothing to write.
        """
        granted = {attachment: mode for attachment in attachments if (mode := _reserved(attachment)) is not None}
        return self._pending.write(self._records.grant(dict(granted)), owner) if granted else 0

    def opened(self, attachment: Attachment) -> RecordChanges:
        """Return the changes that write an attachment whose gate is open."""
        return self._records.grant({attachment: VdpMode.ASSOCIATE})

    def record_left(self, attachment: Attachment, owner: TokenOwner) -> int:
        """Write that a VSI has moved away from a port, as for one that is associated at another; returns the token."""
        # Without rules in a switch that is up, its record is being deleted already: it must not be written behind that.
        gone = attachment.holding.forgetting
        left = self._records.drop(self._records.keys(attachment)) if gone else self.opened(attachment)
        return self._pending.write(left, owner)

    def remember(
        self, vsis: tuple[Vsi, ...], is_moving: Callable[[Vsi], bool], owner: TokenOwner
    ) -> tuple[int, tuple[Vsi, ...]]:
        """Write the memberships of VSIs, with all else that is in force where they are.

        Args:
            is_moving: True for a VSI whose gate is on its way; it is written with the gate, or later.
            owner: component that the answer of the store is for.

        Returns:
            The token of the writing (0: there is nothing to write), and the VSIs that it settles.
        """
        owners = [
            vsi.owner
            for vsi in vsis
            if vsi.owner is not None and not is_moving(vsi) and vsi.owner.machine.in_force is not None
        ]
        # A VSI that is at no port has no record.
        settled = tuple(vsi for vsi in vsis if vsi.owner in owners or vsi.owner is None)
        return self._pending.write(self._records.keep(owners), owner) if owners else 0, settled

    def forget(self, attachment: Attachment | None, keys: frozenset[str]) -> None:
        """Delete records; None: some whose deletion has failed before."""
        token = self._pending.write(self._records.drop(keys))
        self._pending.steps[token] = Forgetting(attachment, keys)

    def forget_attachment(self, attachment: Attachment) -> None:
        """Delete the record of an attachment that holds nothing any more."""
        self.forget(attachment, self._records.keys(attachment))

    def not_deleted(self, keys: frozenset[str]) -> None:
        """Note that the store has failed to delete records; :meth:`write_again` tries again."""
        self._records.not_dropped(keys)

    def write_again(self, opening: Callable[[Attachment], GateSwitch | None]) -> None:
        """Delete and write the records again that the store has failed to delete or write.

        Args:
            opening: the change that opens the gate at an attachment; its record is that of the change, until it ends.
        """
        if keys := self._records.take_undeleted():
            self.forget(None, keys)
        outdated = self._records.take_outdated()
        moving = [attachment for attachment in outdated if opening(attachment) is not None]
        self._records.not_kept(moving)
        if settled := tuple(attachment for attachment in outdated if attachment not in moving):
            self._keep(settled[0], settled)


def _withdrawn(vsi: Vsi) -> Iterator[Attachment]:
    """Yield the attachments of a VSI that are being withdrawn, and whose records are not being deleted yet."""
    # One of them may be recorded as the owner, until its rules are removed.
    for attachment in vsi.attachments.values():
        if attachment.holding.releasing and not attachment.holding.forgetting:
            yield attachment


def _reserved(attachment: Attachment) -> VdpMode | None:
    """Mode of a reservation, also of one that the store is about to hold; None: it is on its way to an open gate."""
    machine = attachment.machine
    if machine.in_force is not None:
        return machine.in_force
    return None if machine.wanted is VdpMode.ASSOCIATE else machine.wanted


def _announced(owner: Attachment) -> tuple[Attachment, ...]:
    """Return the attachments that have announced a move of a VSI before a port becomes its owner."""
    # A takeover needs an announcement since the present owner became the owner (docs/decisions/0024).
    if owner.holding.remade == owner.machine.attempt:
        # It is the owner of the records, in which announcements from before are void: these came later.
        return ()
    return tuple(attachment for attachment in owner.vsi.attachments.values() if attachment.conversation.announced)
