"""Openings that an earlier life of the bridge, or the last leader, has begun: what their marks in the store lead to.

The station may have been answered, or refuse to wait, or be waiting: no record can say, since each answer would have to
wait for one more write.  So such a move goes on where it was: it is under way until its own switch, and those that had
the gate before, have been compared, and its station is answered then.  What its own switch had not even begun, with the
former gate still open somewhere, is undone and done again: a comparison opens no gate that another switch has.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping

from ryu_apps.evb.model import Phase
from ryu_apps.evb.pipeline.tables import CookieKind, parse_cookie
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.gates import GateSwitches
from ryu_apps.evb.vsi.grants import Grants
from ryu_apps.evb.vsi.late_switches import LateSwitches
from ryu_apps.evb.vsi.pending import PendingChanges
from ryu_apps.evb.vsi.records.opening import decode, mark_key
from ryu_apps.evb.vsi.registry import Attachment, Registry, SourceState
from ryu_apps.evb.vsi.steps import GateSwitch
from ryu_apps.evb.wire.vdp import VdpMode


class InterruptedOpenings:
    """Openings from marks, until their own switches have shown how far they came."""

    def __init__(
        self,
        gates: GateSwitches,
        grants: Grants,
        late: LateSwitches,
        pending: PendingChanges,
        undo: Callable[[Attachment], None],
    ) -> None:
        """
        Args:
            undo: abandons the opening of an attachment.
        """
        self._gates = gates
        self._grants = grants
        self._late = late
        self._pending = pending
        self._undo = undo
        self._unseen: dict[int, list[GateSwitch]] = {}

    def restore(self, marks: Mapping[str, bytes], registry: Registry, switches: Container[int], now: float) -> None:
        """Take the openings up again, from the marks in the store; the attachments are restored.

        Args:
            switches: datapath ids of the configured switches; no other one is waited for.
        """
        if not marks:
            return
        marked = {mark_key(attachment): attachment for attachment in registry.attachments()}
        for key, octets in marks.items():
            self._grants.marked(key)
            attachment = marked.get(key)
            if attachment is None or attachment.vsi.owner is not attachment or attachment.vsi.gate_program is None:
                # Its record cannot be used, or the VSI has gone on since.
                self._grants.unmark(key, now)
            else:
                self._resume(attachment, tuple(port for port in decode(octets) if port.dpid in switches))

    def _resume(self, attachment: Attachment, former: tuple[PortId, ...]) -> None:
        vsi, dpid = attachment.vsi, attachment.port.dpid
        assert vsi.gate_program is not None
        opening = GateSwitch(attachment, vsi.gate_program, None, None, None)
        there = (vsi.attachments[port] for port in former if port in vsi.attachments)
        # A mark may be older than the record of a former port, which has gone back to Pre-Associate since.
        opening.displaced = tuple(other for other in there if other.machine.in_force is VdpMode.ASSOCIATE)
        opening.recorded = tuple(dict.fromkeys((attachment, *opening.displaced)))
        for loser in opening.losers:
            # Its station is informed when the move is final.
            loser.conversation.left = False
        keeper = next((other for other in opening.losers if other.port == former[0]), None)
        if keeper is not None and keeper.holding.program is not None:
            opening.old_owner, opening.old_program = keeper, keeper.holding.program
            opening.source = SourceState(keeper.port.dpid, keeper.holding.program)
            keeper.holding.program.phase = Phase.ACTIVE
        vsi.gate_program.phase = Phase.ACTIVATING
        attachment.machine.decide_again()
        attachment.holding.decided = attachment.machine.attempt
        self._gates.resume_opening(opening)
        for place in dict.fromkeys((dpid, *(port.dpid for port in former))):
            token = self._pending.defer(opening)
            opening.waiting.add(token)
            self._late.hold(place, token, opening)
        if former[:1] != (attachment.port,):
            # Behind a gate at the same port, an older program is in force until the comparison puts this one there.
            self._unseen.setdefault(dpid, []).append(opening)

    def shown(self, dpid: int, cookies: Iterable[int]) -> None:
        """Process the cookies of a switch that is read: it does not have the gates that it was not sent."""
        unseen = self._unseen.pop(dpid, None)
        if unseen is None:
            return
        owners = (parse_cookie(shown) for shown in cookies)
        gates = {(owner.owner, owner.generation) for owner in owners if owner and owner.kind is CookieKind.GATE}
        for opening in unseen:
            binding = opening.program.binding
            if not opening.settled and (binding.vsi_index, binding.generation) not in gates:
                self._do_again(opening)

    def _do_again(self, opening: GateSwitch) -> None:
        """Undo an opening of which nothing was done, and let its Associate wait for its switch."""
        attachment = opening.attachment
        # Its station has no answer: without the gate in its own switch there was none.
        attachment.machine.in_force = None
        self._undo(attachment)
        attachment.holding.remade = attachment.machine.attempt
        self._late.wait(attachment.port.dpid, attachment)
