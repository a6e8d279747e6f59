"""Gates of VSIs on their way from one port to another: the changes that are sent, and what can still be undone.

All switches change at once, each atomically.  They confirm one after the other, so a newer change of the same VSI may
overtake an older one; the newer one inherits what the older one would have had to put right.
"""

from __future__ import annotations

from ryu_apps.evb.event_catalogue.vsis import GateOpening
from ryu_apps.evb.events.effect import GATE_LANE, Mode
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.model import Phase
from ryu_apps.evb.protocol.vdp_bridge import BridgeDeassociate
from ryu_apps.evb.tokens import TokenOwner
from ryu_apps.evb.topology.interface import Interface
from ryu_apps.evb.vsi.gatekeeper import Gatekeeper
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.pending import PendingChanges
from ryu_apps.evb.vsi.registry import Attachment, Vsi
from ryu_apps.evb.vsi.state_transfer import StateTransfer
from ryu_apps.evb.vsi.steps import GateChange, GateSwitch
from ryu_apps.evb.wire.vdp import VdpMode


class GateSwitches:
    """Changes of gates that are under way, at most one of each VSI.

    Attributes:
        vsi_ports: the ports behind which VMs are.
    """

    def __init__(self, gatekeeper: Gatekeeper, state: StateTransfer, pending: PendingChanges) -> None:
        self._gatekeeper = gatekeeper
        self.vsi_ports = gatekeeper.vsi_ports
        self._state = state
        self._pending = pending
        self._under_way: dict[Vsi, GateSwitch] = {}

    def of(self, attachment: Attachment) -> GateSwitch | None:
        """Return the change that opens the gate at an attachment; None: there is none."""
        gate_switch = self._under_way.get(attachment.vsi)
        return gate_switch if gate_switch is not None and gate_switch.attachment is attachment else None

    def place(self, attachment: Attachment, program: Installation) -> Interface | None:
        """Return the port behind which the VM of a program is; None: it is not there now."""
        return self._gatekeeper.flips.place(attachment, program)

    def is_moving(self, vsi: Vsi) -> bool:
        """True if the gate of a VSI is on its way to a port."""
        return vsi in self._under_way

    def open(self, attachment: Attachment, program: Installation) -> GateSwitch:
        """Send the change that opens the gate at an attachment, and shuts it where it was."""
        vsi = attachment.vsi
        # The old owner gets no De-Associate yet: a switch may refuse, and then the gate returns to it.
        gate_switch = self._under_way[vsi] = self._new(attachment, program)
        self._send(vsi, attachment, program, attachment, gate_switch)
        self._pending.log(GateOpening, attachment, switches=len(gate_switch.waiting))
        return gate_switch

    def foresee(self, attachment: Attachment, program: Installation) -> dict[int, RuleChange]:
        """Return changes that :meth:`open` is certain to send, by switch and in this order; empty: none is certain.

        Those of the attachment's own switch are first, as there.
        """
        here, up = attachment.port.dpid, self._pending.up
        changes = self._gatekeeper.flips.certain(attachment, program)
        if here not in changes:
            return {}
        return {dpid: changes[dpid] for dpid in sorted(changes, key=lambda dpid: (dpid != here, dpid)) if dpid in up}

    def shut(self, attachment: Attachment) -> None:
        """Shut the gate if it is this attachment's."""
        vsi = attachment.vsi
        if vsi.owner is attachment:
            if vsi.gate_program is not None:
                vsi.gate_program.phase = Phase.STAGED
            self._send(vsi, None, None, attachment)

    def end(self, gate_switch: GateSwitch) -> bool:
        """End a change; returns False if a newer one of the same VSI has overtaken it."""
        gate_switch.settled = True
        newest = self._under_way.get(gate_switch.attachment.vsi) is gate_switch
        if newest:
            del self._under_way[gate_switch.attachment.vsi]
        return newest

    def displace(self, gate_switch: GateSwitch) -> None:
        """De-associate the VSI at the ports that had its gate.

        Not before all switches have confirmed: until then the gate may have to go back to one of these ports.
        """
        for loser in gate_switch.losers:
            if loser.holding.program is not None:
                loser.holding.program.phase = Phase.STAGED
            self._pending.decide(loser, BridgeDeassociate("associated at another port"))

    def undo(self, attachment: Attachment) -> GateSwitch | None:
        """Give the gate back to the attachment that had it before the change to this one, if it is still there.

        Returns:
            The change that is not made; None: there was none.
        """
        gate_switch = self.of(attachment)
        if gate_switch is None:
            return None
        self.end(gate_switch)
        # To all switches, also to those that have not confirmed yet: the lane puts this change behind the refused one.
        gate_switch.program.phase = Phase.STAGED
        keeper = gate_switch.old_owner if gate_switch.old_owner and _keeps(gate_switch.old_owner) else None
        self._send(attachment.vsi, keeper, gate_switch.old_program if keeper else None, attachment)
        return gate_switch

    def copy(self, attachment: Attachment, program: Installation) -> None:
        """Let switches send what is for the VSI to a staged attachment, too, for some seconds."""
        self._gatekeeper.copies.begin(attachment, program)

    def dismiss_copies(self, attachment: Attachment) -> None:
        """End that for an attachment whose program is to go."""
        self._gatekeeper.copies.dismiss(attachment)

    def renew(self, vsi: Vsi, owner: TokenOwner) -> list[int]:
        """Send the gate of a VSI anew where it is; returns the tokens of the changes, whose answers go to ``owner``."""
        return [
            self._pending.send(dpid, change, Mode.ATOMIC, GATE_LANE, owner)
            for dpid, change in sorted(self._gatekeeper.renew(vsi).items())
            if dpid in self._pending.up
        ]

    def follow(self, vsi: Vsi) -> None:
        """Send the gate of a VSI anew: the port behind which its VM is has another number, or none."""
        # As in :meth:`shut`, nothing waits for the answers.
        pages = self._gatekeeper.pages(vsi)
        for dpid, change in sorted(self._gatekeeper.move(vsi, vsi.owner, vsi.gate_program, pages).changes.items()):
            if dpid in self._pending.up:
                self._pending.send(dpid, change, Mode.ATOMIC, GATE_LANE)

    def resume(self, attachment: Attachment, program: Installation, pages: tuple[int | None, ...]) -> None:
        """Take up a gate that was open before the controller was restarted; the switches still have it."""
        # The changes are not sent: a switch is compared with the desired rules when it connects.
        self._gatekeeper.resume(attachment.vsi, attachment, program, pages)

    def resume_opening(self, gate_switch: GateSwitch) -> None:
        """Take up a change that was under way before the controller was restarted."""
        self._under_way[gate_switch.attachment.vsi] = gate_switch

    def _new(self, attachment: Attachment, program: Installation) -> GateSwitch:
        vsi = attachment.vsi
        pending = self._under_way.get(vsi)
        if pending is None:
            owners = () if vsi.owner is None else (vsi.owner,)
            source = self._state.source(vsi)
            return GateSwitch(attachment, program, vsi.owner, vsi.gate_program, source, owners)
        # No change on the way was confirmed, so an undo has to go back to before the first of them; and every port that
        # may have had the gate meanwhile gets a De-Associate in the end.
        displaced = (*pending.displaced, pending.attachment)
        gate_switch = GateSwitch(attachment, program, pending.old_owner, pending.old_program, pending.source, displaced)
        gate_switch.overtaken = pending.recorded
        return gate_switch

    def _send(
        self,
        vsi: Vsi,
        owner: Attachment | None,
        program: Installation | None,
        on_behalf: Attachment,
        opening: GateSwitch | None = None,
    ) -> None:
        """Send the change to every connected switch; the others get it when they return.

        Args:
            opening: what waits for the change, but for the switches that follow.
        """
        before = None if vsi.owner is None or vsi.gate_program is None else (vsi.owner, vsi.gate_program)
        changes, followers = self._gatekeeper.move(vsi, owner, program)
        # The switch of the new owner first: its gate decides when the VM has a network again.
        order = sorted(changes, key=lambda dpid: (dpid != on_behalf.port.dpid, dpid in followers, dpid))
        send, up = self._pending.send, self._pending.up
        tokens = {dpid: send(dpid, changes[dpid], Mode.ATOMIC, GATE_LANE) for dpid in order if dpid in up}
        # Whatever moves the gate: the program that it led to stays in the switch until all switches have confirmed.
        if before is not None and before[1] is not program:
            before[1].closing += tuple(tokens.values())
        for dpid, token in tokens.items():
            waits = None if dpid in followers else opening
            self._pending.steps[token] = GateChange(dpid, on_behalf, before, waits)
            if waits is not None:
                waits.waiting.add(token)


def _keeps(owner: Attachment) -> bool:
    """True for an owner to which the gate may return: it has not gone back to Pre-Associate meanwhile."""
    return owner.present and owner.machine.in_force is VdpMode.ASSOCIATE and owner.holding.granted is None
