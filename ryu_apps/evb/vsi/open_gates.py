"""Gates that every switch has just confirmed: the answer to the station, and behind it all that follows."""

from __future__ import annotations

from collections.abc import Callable

from ryu_apps.evb.event_catalogue.vsis import GateOpened
from ryu_apps.evb.model import Phase
from ryu_apps.evb.protocol.vdp_bridge import Granted
from ryu_apps.evb.vsi.announcer import Announcer
from ryu_apps.evb.vsi.gates import GateSwitches
from ryu_apps.evb.vsi.grants import Grants
from ryu_apps.evb.vsi.pending import PendingChanges
from ryu_apps.evb.vsi.state_transfer import StateTransfer
from ryu_apps.evb.vsi.steps import GateSwitch
from ryu_apps.evb.vsi.withdrawal import Withdrawal


class OpenGates:
    """Gates that are open since the last :meth:`conclude`.

    Attributes:
        new: these gates.
        opened: called when a gate is open, newly or at another port, and every switch has confirmed.
    """

    def __init__(
        self,
        gates: GateSwitches,
        grants: Grants,
        state: StateTransfer,
        withdrawal: Withdrawal,
        announcer: Announcer,
        pending: PendingChanges,
    ) -> None:
        self.new: list[GateSwitch] = []
        self.opened: Callable[[GateSwitch, float], None] = lambda gate_switch, now: None
        self._gates = gates
        self._grants = grants
        self._state = state
        self._withdrawal = withdrawal
        self._announcer = announcer
        self._pending = pending

    def add(self, gate_switch: GateSwitch) -> None:
        """Grant an Associate; what follows from the open gate is left to :meth:`conclude`."""
        if not self._gates.end(gate_switch):
            return
        gate_switch.program.phase = Phase.ACTIVE
        self._pending.log(GateOpened, gate_switch.attachment)
        # Else a newer request, not answered yet, is on its way to another program; until then this one is in force.
        if gate_switch.attachment.holding.program is gate_switch.program:
            self._pending.decide(gate_switch.attachment, Granted())
        self.new.append(gate_switch)

    def conclude(self, now: float) -> None:
        """Do what follows from gates that are open: no station waits for it."""
        opened, self.new = self.new, []
        for gate_switch in opened:
            attachment, program = gate_switch.attachment, gate_switch.program
            self._grants.confirmed(gate_switch)
            # The last state is read before the source's body is removed.
            self._state.conclude(attachment, program, gate_switch.source)
            self._withdrawal.drop_left(attachment.vsi)
            self.opened(gate_switch, now)
            if attachment.holding.program is program:
                self._withdrawal.sweep_retired(attachment)
            self._gates.displace(gate_switch)
            self._announcer.announce(gate_switch, self._pending)
