"""Rules that the programs of a switch share: bodies of types, and members of sets; the last program takes them with it.

Unless the switch may hold rules of VSIs which no record explains.  Those forward by shared rules too, but are no
programs yet.  So nothing shared is removed from such a switch before the time for claims is over
(docs/decisions/0101-shared-rules-of-unclaimed-vsis).
"""

from __future__ import annotations

from collections.abc import Callable

from ryu_apps.evb.events.effect import GATE_LANE, Mode
from ryu_apps.evb.flow.change import RuleBlock, RuleChange
from ryu_apps.evb.services.body import pages
from ryu_apps.evb.vsi.bodies import TypeBody
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.pending import PendingChanges, type_lane
from ryu_apps.evb.vsi.registry import Attachment
from ryu_apps.evb.vsi.reservation import Reservations
from ryu_apps.evb.vsi.set_members import SetMembers


class SharedRules:
    """Removal of shared rules.

    Attributes:
        bodies: type bodies by datapath id and epoch.
        others_use: returns True for a switch that may hold rules of VSIs which no record explains.
    """

    def __init__(self, pending: PendingChanges, ledger: Reservations, set_members: SetMembers) -> None:
        self.bodies: dict[tuple[int, int], TypeBody] = {}
        self.others_use: Callable[[int], bool] = lambda dpid: False
        self._pending = pending
        self._ledger = ledger
        self._set_members = set_members
        # What programs have left at switches where others may use it.
        self._parting: dict[int, list[Installation]] = {}
        self._unused: dict[int, dict[int, RuleBlock]] = {}

    def dismiss_members(self, dpid: int, program: Installation) -> None:
        """Release what a program has of sets, as a member and as the last user at its switch."""
        self._set_members.release(program)
        if self.others_use(dpid):
            # It stays a user, so that members go on coming and going for the others.
            self._parting.setdefault(dpid, []).append(program)
        else:
            self._part(dpid, program)

    def leave_body(self, attachment: Attachment, program: Installation) -> None:
        """Remove a type body with its last program."""
        dpid = attachment.port.dpid
        body = self.bodies.get((dpid, program.epoch))
        if body is None or program not in body.users:
            return
        del body.users[program]
        if body.users:
            return
        # Also where the rules stay: it may never have been confirmed, and the next program stages it in full.
        del self.bodies[dpid, program.epoch]
        self._ledger.release(dpid, ("type", program.epoch))
        if self.others_use(dpid):
            self._unused.setdefault(dpid, {})[program.epoch] = body.block
        else:
            self._sweep(dpid, program.epoch, body.block, attachment)

    def claimed(self, dpid: int) -> None:
        """Process the end of the time for claims at a switch: remove what no program there uses."""
        for program in self._parting.pop(dpid, ()):
            self._part(dpid, program)
        for epoch, block in self._unused.pop(dpid, {}).items():
            if (dpid, epoch) not in self.bodies:
                self._sweep(dpid, epoch, block)

    def _part(self, dpid: int, program: Installation) -> None:
        self._pending.send_if_up(dpid, self._set_members.part(program), Mode.ATOMIC, GATE_LANE)

    def _sweep(self, dpid: int, epoch: int, block: RuleBlock, attachment: Attachment | None = None) -> None:
        """Delete a type body; ``attachment``: the one that waits for it."""
        self._pending.sweep(dpid, RuleChange(delete_by_cookie=pages(block)), Mode.BULK, type_lane(epoch), attachment)
