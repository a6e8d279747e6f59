"""Grants on their way into the store: a station is answered when the store holds what it was granted.

After a restart the controller has every VSI of which a station has an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ryu_apps.evb.tokens import TokenOwner
from ryu_apps.evb.vsi.pending import PendingChanges
from ryu_apps.evb.vsi.records.keeper import RecordChanges, RecordKeeper, record_key
from ryu_apps.evb.vsi.registry import Attachment, Vsi
from ryu_apps.evb.vsi.steps import Forgetting, GateSwitch, Granting
from ryu_apps.evb.wire.vdp import VdpMode


class Grants:
    """Writings of records of attachments."""

    def __init__(self, records: RecordKeeper, pending: PendingChanges) -> None:
        self._records = records
        self._pending = pending

    def grant(self, attachment: Attachment) -> None:
        """Write what an attachment is granted; the station is answered after that."""
        # With the attempt: a request that comes while the store writes is another one, which this does not grant.
        token = self._pending.write(self._records.grant({attachment: attachment.machine.wanted}))
        self._pending.steps[token] = Granting(attachment, attachment.machine.attempt)

    def record(self, attachment: Attachment) -> None:
        """Write again what is in force at an attachment."""
        self._pending.write(self._records.grant({attachment: attachment.machine.in_force}))

    def record_move(self, gate_switch: GateSwitch) -> None:
        """Write a move that all switches have confirmed: the new owner and those that it displaces, at once."""
        # One transaction: a controller that ends between two would find two owners of a VSI.
        gate_switch.saving = True
        granted: dict[Attachment, VdpMode | None] = {gate_switch.attachment: VdpMode.ASSOCIATE}
        for displaced in gate_switch.displaced:
            if displaced is not gate_switch.attachment and displaced.present:
                granted[displaced] = displaced.machine.in_force
        # In the same one: a restart must not revive an announcement that was made to the last owner.
        granted.update(_void_announcements(gate_switch.attachment))
        token = self._pending.write(self._records.grant(granted))
        gate_switch.waiting.add(token)
        self._pending.steps[token] = gate_switch

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
        return self._pending.write(self._records.grant({attachment: VdpMode.ASSOCIATE}), owner)

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
        granted: dict[Attachment, VdpMode | None] = {
            vsi.owner: vsi.owner.machine.in_force
            for vsi in vsis
            if vsi.owner is not None and not is_moving(vsi) and vsi.owner.machine.in_force is not None
        }
        # A VSI that is at no port has no record.
        settled = tuple(vsi for vsi in vsis if vsi.owner in granted or vsi.owner is None)
        return self._pending.write(self._records.grant(granted), owner) if granted else 0, settled

    def forget(self, attachment: Attachment | None, keys: frozenset[str]) -> None:
        """Delete records; None: some whose deletion has failed before."""
        token = self._pending.write(self._records.drop(keys))
        self._pending.steps[token] = Forgetting(attachment, keys)

    def forget_attachment(self, attachment: Attachment) -> None:
        """Delete the record of an attachment that holds nothing any more."""
        self.forget(attachment, frozenset((record_key(attachment),)))

    def not_deleted(self, keys: frozenset[str]) -> None:
        """Note that the store has failed to delete records; :meth:`delete_again` tries again."""
        self._records.not_dropped(keys)

    def delete_again(self) -> None:
        """Delete the records again that the store has failed to delete."""
        if keys := self._records.take_undeleted():
            self.forget(None, keys)


def _reserved(attachment: Attachment) -> VdpMode | None:
    """Mode of a reservation, also of one that the store is about to hold; None: it is on its way to an open gate."""
    machine = attachment.machine
    if machine.in_force is not None:
        return machine.in_force
    return None if machine.wanted is VdpMode.ASSOCIATE else machine.wanted


def _void_announcements(owner: Attachment) -> dict[Attachment, VdpMode | None]:
    """Void the announcements that were made to a VSI's last owner; returns the attachments whose records change."""
    # A takeover needs an announcement since the present owner became the owner (docs/decisions/0024).
    changed: dict[Attachment, VdpMode | None] = {}
    for attachment in owner.vsi.attachments.values():
        if attachment.conversation.announced and attachment is not owner and attachment.machine.in_force is not None:
            changed[attachment] = attachment.machine.in_force
        attachment.conversation.announced = False
    return changed
