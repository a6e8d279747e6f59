"""From a staged body to the opening of its gate, which every switch has to confirm.

Of several Associates of one VSI the newest wins.  A gate waits for switches that are away and may have the VSI's gate,
and for another pod that may have the VSI.
"""

from __future__ import annotations

from collections.abc import Callable

from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.vsis import BodyStaged, GateLeft, SwitchWaitedFor, VsiPortMissing
from ryu_apps.evb.model import Phase
from ryu_apps.evb.protocol.vdp_bridge import BridgeDeassociate
from ryu_apps.evb.services.body import services_of
from ryu_apps.evb.vsi.flip_preparation import FlipPreparation
from ryu_apps.evb.vsi.gates import GateSwitches
from ryu_apps.evb.vsi.grants import Grants
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.late_switches import LateSwitches
from ryu_apps.evb.vsi.pending import PendingChanges
from ryu_apps.evb.vsi.refusals import Refusals
from ryu_apps.evb.vsi.registry import Attachment
from ryu_apps.evb.vsi.state_refresh import StateRefresh
from ryu_apps.evb.vsi.state_transfer import StateTransfer
from ryu_apps.evb.wire.vdp import VdpMode


class Activation:
    """Grants Pre-Associates whose bodies are staged, and opens gates for Associates.

    Attributes:
        is_clear: called when a gate would open; False: another pod may have the VSI, :meth:`cleared` follows.
    """

    def __init__(
        self,
        gates: GateSwitches,
        grants: Grants,
        refusals: Refusals,
        state: StateTransfer,
        refresh: StateRefresh,
        preparation: FlipPreparation,
        late: LateSwitches,
        pending: PendingChanges,
        effects: EffectSink,
    ) -> None:
        self.is_clear: Callable[[Attachment], bool] = lambda attachment: True
        self._gates = gates
        self._grants = grants
        self._refusals = refusals
        self._state = state
        self._refresh = refresh
        self._preparation = preparation
        self._late = late
        self._pending = pending
        self._effects = effects

    def staged(self, attachment: Attachment, program: Installation) -> None:
        """Grant a Pre-Associate whose body the switch has, or open the gate for an Associate."""
        newly = program.phase is Phase.STAGING
        if newly:
            program.phase = Phase.STAGED
            self._refresh.begin(attachment)
            self._pending.log(BodyStaged, attachment, program.rules, services_of(program.vsi_type))
        if attachment.holding.decided != attachment.machine.attempt:
            # A newer request waits for its turn, which goes on from here: it may be for something else, or refused.
            return
        if attachment.machine.wanted is VdpMode.ASSOCIATE:
            self._activate(attachment, program)
        else:
            self._grants.grant(attachment)
            if newly:
                self._gates.copy(attachment, program)
            self._preparation.staged(attachment)

    def cleared(self, attachment: Attachment, attempt: int, refusal: str | None) -> None:
        """Open the gate that was not clear, or refuse (the reason) the Associate of that attempt."""
        program, machine = attachment.holding.program, attachment.machine
        if not machine.awaits(attempt) or machine.wanted is not VdpMode.ASSOCIATE or not attachment.present:
            return
        if refusal is not None:
            self._refusals.deny(attachment, refusal)
        elif program is not None and not program.waiting and attachment.holding.decided == attempt:
            self._activate(attachment, program)

    def _activate(self, attachment: Attachment, program: Installation) -> None:
        vsi = attachment.vsi
        if program.phase is Phase.ACTIVE and vsi.owner is attachment:
            self._grants.grant(attachment)
            return
        if vsi.owner is not None and vsi.owner.holding.turn > attachment.holding.turn:
            # It was requested elsewhere while this body was on its way: the newest Associate wins.
            self._pending.decide(attachment, BridgeDeassociate("associated at another port"))
            return
        if self._gates.place(attachment, program) is None:
            # It has disappeared since the request was admitted.
            name = program.binding.vsi_port
            self._pending.log(VsiPortMissing, attachment, name)
            self._refusals.deny(attachment, f"VSI port {name} is not there")
            return
        if attachment.port.dpid not in self._pending.up:
            # It has been altered, or has refused something, and is compared: without its gate nothing is answered.
            self._late.wait(attachment.port.dpid, attachment)
            return
        late = self._late.concerns(attachment)
        if late and self._waits(attachment):
            return
        if vsi.owner is None and not self.is_clear(attachment):
            return
        if late:
            self._leave(attachment)
        program.phase = Phase.ACTIVATING
        # From the sending on: a switch may carry out a change whose confirmation is lost with the channel.
        program.opened = True
        gate_switch = self._gates.open(attachment, program)
        # Behind the changes of the switches, which then have it beside their own work.
        self._grants.record_move(gate_switch)
        # Now, not when the gate is open: until then the store writes, and a reading would take its processor time.
        self._state.interrupt(program, gate_switch.source)

    def _waits(self, attachment: Attachment) -> bool:
        """Let an Associate wait if its VSI would have two gates, of which one cannot be shut now."""
        holder = self._late.holder(attachment)
        if holder is not None:
            self._pending.log(SwitchWaitedFor, attachment, holder)
            self._late.wait(holder.dpid, attachment)
        return holder is not None

    def _leave(self, attachment: Attachment) -> None:
        """Report the gates of a VSI that are left open in switches that are given up."""
        owner = attachment.vsi.owner
        for port in self._late.left(attachment):
            self._effects.put(GateLeft(port, attachment.text, attachment.port))
        if owner not in (None, attachment) and owner.port.dpid not in self._pending.up:
            self._late.doubt(owner)
