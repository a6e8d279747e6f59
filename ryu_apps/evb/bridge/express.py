"""Changes of switches that are sent ahead of the Associate that asks for them.

An Associate takes hundreds of small steps before the gate of its VSI moves, and the VM waits for the switch.  While a
VSI is staged and nothing else happens, the outcome is known: all that is decided depends on what the engine knows.  So
it is foreseen, by the same checks, and the prepared change is sent as soon as the frame is recognised; then the
Associate takes all its steps as always, and finds its change sent.

Whatever cannot be foreseen with certainty is left to the steps: what waits for a port, a store, a VSI manager, another
pod or another switch, what is contested, refused, damped or suspended, and any request that differs from the
Pre-Associate in force in more than mode and M bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ryu_apps.evb.bridge.links import Links
from ryu_apps.evb.bridge.requests import Associations
from ryu_apps.evb.events.switch import FrameReceived
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.model import Phase
from ryu_apps.evb.ports.bridge_port import BridgePort
from ryu_apps.evb.protocol.vdp_bridge import VsiState
from ryu_apps.evb.switches.bringup import Bringup
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.admission import Admitted
from ryu_apps.evb.vsi.lifecycle import Lifecycle
from ryu_apps.evb.vsi.registry import Attachment, Registry
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP
from ryu_apps.evb.wire.vdp import Associate, Association, OrganizationalTlv, RequestStatus, VdpPdu

#: The Ethertype of a frame, and that of ECP.
_ETHERTYPE, _ECP = slice(12, 14), ETHERTYPE_ECP.to_bytes(2)
#: The status of an Associate whose VM runs: with the M bit or without.
_RUNNING = RequestStatus(), RequestStatus(migrating=True)


class Foreseen(NamedTuple):
    """The outcome of an Associate.

    Attributes:
        changes: by switch, in the order in which they are sent; empty: the outcome is not certain.
        admitted: how the request is admitted.
    """

    changes: Mapping[int, RuleChange]
    admitted: Admitted | None


_NOTHING = Foreseen({}, None)


class Express:
    """Foresees what Associates lead to.

    Args:
        alone: there are no other pods, which may have a VSI.

    Attributes:
        foreseen: outcomes by attachment; to be cleared with each event that is processed.
    """

    def __init__(
        self,
        registry: Registry,
        stations: Mapping[PortId, BridgePort],
        bringup: Bringup,
        links: Links,
        requests: Associations,
        lifecycle: Lifecycle,
        alone: bool,
    ) -> None:
        self._registry = registry
        self._stations = stations
        self._bringup = bringup
        self._links = links
        self._requests = requests
        self._lifecycle = lifecycle
        self._alone = alone
        self.foreseen: dict[Attachment, Foreseen] = {}

    def ahead(self, event: FrameReceived, now: float) -> bool:
        """Send what the Associate in a frame will change, if that is certain; its steps have to follow at once.

        Returns:
            False for any other frame, which costs as little as can be: all frames are looked at.
        """
        if event.data[_ETHERTYPE] != _ECP or not self._lifecycle.preparation.staged_at(event.port):
            return False
        attachment = self._recognised(event, now)
        if attachment is None:
            return False
        changes, admitted = self._outcome(attachment, now)
        self._requests.foresaw(None if admitted is None else (attachment, admitted))
        for dpid, change in changes.items():
            self._lifecycle.pending.send_ahead(dpid, change)
        return bool(changes)

    def prepare(self, now: float) -> None:
        """Foresee the Associate of the VSI that was staged last: the likeliest to come before anything else."""
        attachment = self._lifecycle.preparation.newest
        if attachment is not None:
            self._outcome(attachment, now)

    def _outcome(self, attachment: Attachment, now: float) -> Foreseen:
        outcome = self.foreseen.get(attachment)
        if outcome is None:
            outcome = self.foreseen[attachment] = self._foresee(attachment, now)
        return outcome

    # --- which frames ---
    def _recognised(self, event: FrameReceived, now: float) -> Attachment | None:
        """Return the attachment whose Pre-Associate a frame repeats as an Associate."""
        pdu = self._stations[event.port].peek(event.data, now)
        found = None if pdu is None else _only_associate(pdu)
        if pdu is None or found is None:
            return None
        asked, organizational = found
        vsi = self._registry.vsi(asked.vsi_id)
        attachment = None if vsi is None else vsi.attachments.get(event.port)
        if attachment is None or (conversation := attachment.conversation).newest is None:
            return None
        same = _what(conversation.newest) == _what(asked) and conversation.organizational == organizational
        return attachment if same and conversation.manager_id == pdu.manager_id else None

    # --- what they lead to ---
    def _foresee(self, attachment: Attachment, now: float) -> Foreseen:
        program = attachment.holding.program
        if program is None or not self._is_staged(attachment) or not self._is_heard(attachment.port):
            return _NOTHING
        if self._lifecycle.late.concerns(attachment):
            return _NOTHING
        if attachment.vsi.owner is None and not self._alone:
            return _NOTHING
        # The checks of the request are the longer part, and needless where nothing is certain.
        changes = self._lifecycle.gates.foresee(attachment, program)
        admitted = self._requests.admission(attachment, now) if changes else None
        return _NOTHING if admitted is None else Foreseen(changes, admitted)

    @staticmethod
    def _is_staged(attachment: Attachment) -> bool:
        """True if a Pre-Associate is in force, its program is staged, and nothing is on its way."""
        machine, holding, program = attachment.machine, attachment.holding, attachment.holding.program
        held = machine.state is VsiState.HELD and machine.wanted is None and attachment.present
        staged = program is not None and program.phase is Phase.STAGED and not program.waiting
        return held and staged and not holding.closing and holding.granted is None

    def _is_heard(self, port: PortId) -> bool:
        """True if requests of a port are processed at once: all switches have their rules, and no others."""
        states = self._bringup.switches
        if not all(map(self._bringup.ready, states)) or any(state.unclaimed for state in states.values()):
            return False
        up = self._stations[port].interface.is_up(states[port.dpid].ports) if port.dpid in states else False
        return up is not False and not self._links.neighbours.is_trunk(port)


def _only_associate(pdu: VdpPdu) -> tuple[Association, tuple[OrganizationalTlv, ...]] | None:
    """Return the Associate of a running VM that is all that a station asks; None: it asks something else."""
    if pdu.malformed:
        return None
    found = tuple(pdu.associations())
    if len(found) != 1 or not isinstance(found[0][0], Associate) or found[0][0].status not in _RUNNING:
        return None
    return found[0]


def _what(association: Association) -> tuple[object, ...]:
    return association.type_id, association.version, association.filter_info
