"""Answers to stations: responses, De-Associates that the bridge sends by itself, and answers to stale requests.

A station that has lost a VSI without a De-Associate of its own goes on sending keep-alives for it.  Those are answered
here, before anything else looks at them (:mod:`ryu_apps.evb.vsi.departures`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from ryu_apps.evb.bridge.late_answers import LateAnswers
from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.vsis import (
    RefusalIgnored,
    StaleVsiRequested,
    UnsolicitedDeassociate,
    VdpAnswered,
    VdpRefused,
    VsiActive,
    VsiAnnounced,
    VsiGone,
)
from ryu_apps.evb.events.effect import Save
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.ports.bridge_port import BridgePort
from ryu_apps.evb.ports.outputs import AssociationReceived
from ryu_apps.evb.protocol.table import earliest
from ryu_apps.evb.protocol.vdp_bridge import ELSEWHERE, LAPSED
from ryu_apps.evb.tokens import TokenOwner, TokenTable
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.station_treatment import StationTreatment, Takeover
from ryu_apps.evb.vsi.admission import Refusal
from ryu_apps.evb.vsi.departures import Cause, Departures
from ryu_apps.evb.vsi.pending import PendingChanges
from ryu_apps.evb.vsi.registry import Attachment, Registry
from ryu_apps.evb.vsi.treatment import treatment_of
from ryu_apps.evb.wire.vdp import Association, Identity, ManagerId, ResponseStatus, VdpError, VdpMode, identity_of
from ryu_apps.evb.wire.vsi_id import VsiId

SUCCESS = ResponseStatus(VdpError.SUCCESS)
#: Seconds in which a keep-alive that was sent before the station's acknowledgement may still arrive, with one VSI.
_UNDER_WAY = 0.1

#: Sends an association TLV: port, manager, TLV, time.
Send = Callable[[PortId, ManagerId, Association, float], None]


class Answers(TokenOwner):
    """Sender of answers.

    Attributes:
        departures: ports that VSIs have left without their stations having said so.
    """

    def __init__(
        self,
        registry: Registry,
        stations: Mapping[PortId, BridgePort],
        pending: PendingChanges,
        tokens: TokenTable,
        effects: EffectSink,
        send: Send,
    ) -> None:
        self.departures = Departures()
        self._late = LateAnswers(self.confirm)
        self.send = send
        self._registry = registry
        self._stations = stations
        self._pending = pending
        self._tokens = tokens
        self._effects = effects

    @property
    def deadline(self) -> float | None:
        """Time at which to call :meth:`tick`, monotonic seconds."""
        return earliest(self.departures.deadline, self._late.deadline)

    # --- answers to requests ---
    def respond(self, attachment: Attachment, mode: VdpMode, status: ResponseStatus, now: float, quiet: bool) -> None:
        """Answer the newest request of a mode; ``quiet``: a keep-alive, which is not logged."""
        conversation = attachment.conversation
        asked = conversation.requests[mode]
        fills = mode is not VdpMode.DEASSOCIATE and status.success and not conversation.keeps_null_vids
        filled = conversation.filled if fills else None
        if not quiet:
            self._effects.put(attachment.log_event(VdpAnswered, mode, status))
        self.send(attachment.port, conversation.manager_id, asked.answer(status, filled), now)
        if status.keep:
            conversation.fall_back()
        elif status.success and mode is not VdpMode.DEASSOCIATE:
            self._stands(attachment)
        if not quiet and status.success and mode is VdpMode.ASSOCIATE:
            self._effects.put(attachment.log_event(VsiActive))
        if mode is VdpMode.ASSOCIATE and not status.success and not status.keep:
            self._refused(attachment, status)
        if mode is VdpMode.DEASSOCIATE:
            self._end_superseded(attachment.port, asked.vsi_id, now)

    def _refused(self, attachment: Attachment, status: ResponseStatus) -> None:
        """Report the refusal of an Associate that the hypervisor does not notice: its guest runs all the same."""
        conversation = attachment.conversation
        if conversation.announced and self._treatment(attachment).ignores_refusals:
            owner = attachment.vsi.owner
            place = owner.port if owner is not None and owner is not attachment else None
            self._effects.put(attachment.log_event(RefusalIgnored, status, place))

    def _treatment(self, attachment: Attachment) -> StationTreatment:
        conversation = attachment.conversation
        assert conversation.newest is not None
        vsi_type = _type_of(attachment)
        interface = self._stations[attachment.port].interface
        return treatment_of(interface, conversation.manager_id, conversation.newest, vsi_type)

    def confirm(self, port: PortId, received: AssociationReceived, now: float) -> None:
        """Answer a De-Associate of what the port does not have (any more): success."""
        self.send(port, received.manager_id, received.association.answer(SUCCESS), now)
        if not self._registry.is_at(port, received.association.vsi_id):
            self._end_superseded(port, received.association.vsi_id, now)

    def turn_away(self, port: PortId, received: AssociationReceived, refusal: Refusal, now: float) -> None:
        """Refuse a VSI without an attachment: a station must not make the bridge remember what it refuses."""
        asked, status = received.association, ResponseStatus(refusal.error, hard=refusal.hard)
        self._effects.put(VdpRefused(port, str(asked.vsi_id), refusal.reason, refusal.error))
        self._effects.put(VdpAnswered(port, str(asked.vsi_id), asked.MODE, status))
        self.send(port, received.manager_id, asked.answer(status), now)

    def _stands(self, attachment: Attachment) -> None:
        """Note that a request is in force; to the station it may be another VSI than what it replaces."""
        conversation, replaced = attachment.conversation, attachment.conversation.granted
        assert conversation.identity is not None
        if replaced.newest is not None and conversation.is_apart:
            self.departures.note(attachment.port, replaced.manager_id, replaced.newest, Cause.SUPERSEDED)
        self.departures.drop(attachment.vsi.vsi_id, attachment.port, conversation.identity)
        conversation.stand()

    # --- De-Associates of the bridge ---
    def announce(self, attachment: Attachment, reason: str, now: float) -> None:
        """Send a De-Associate for a VSI that has left a port, for each identity by which its station may have it.

        For a VSI that has moved, as its station's treatment has it: at once, later or never.
        """
        withheld = self._depart(attachment, reason, now)
        # Before anything is removed from the store: after a restart, repetitions for this VSI have to be recognized.
        self.save_departures()
        if withheld:
            return
        self._effects.put(attachment.log_event(UnsolicitedDeassociate, reason))
        port, newest = attachment.port, attachment.conversation.newest
        left = dict.fromkeys(self.departures.unacknowledged(port, attachment.vsi.vsi_id))
        if newest is not None:
            left[attachment.conversation.manager_id, newest] = None
        by_identity = {identity_of(*sent): sent for sent in left}
        for manager_id, association in by_identity.values():
            self.send(port, manager_id, association.unsolicited_deassociate(), now)

    def tick(self, now: float) -> None:
        """Send answers that have waited, and De-Associates for VSIs whose stations have not ended them in time."""
        self._late.tick(now)
        ended: dict[tuple[PortId, VsiId], None] = {}
        for port, manager_id, association in self.departures.due(now):
            self._effects.put(UnsolicitedDeassociate(port, str(association.vsi_id), Cause.DISPLACED.value))
            self.send(port, manager_id, association.unsolicited_deassociate(), now)
            ended[port, association.vsi_id] = None
        for place in ended:
            self._end_superseded(*place, now)

    def _end_superseded(self, port: PortId, vsi_id: VsiId, now: float) -> None:
        """Send a De-Associate for each identity by which a station had a VSI that has ended, before the last one.

        To the station these may be other VSIs, which have not ended: it repeats them, and would never be rid of them.
        """
        for manager_id, association in self.departures.superseded(port, vsi_id):
            self.send(port, manager_id, association.unsolicited_deassociate(), now)

    def _depart(self, attachment: Attachment, reason: str, now: float) -> bool:
        """Note the departure of a VSI; returns True if its station is not to be notified yet."""
        owner = attachment.vsi.owner
        moved = reason == ELSEWHERE or (owner is not None and owner is not attachment)
        cause = Cause.EXPIRED if reason == LAPSED else Cause.DISPLACED if moved else Cause.RECALLED
        delay = self._treatment(attachment).notify_displaced if cause is Cause.DISPLACED else 0.0
        notify_at = now + delay if delay else None
        standing, newest = attachment.conversation.granted, attachment.conversation.newest
        had = {} if standing.newest is None else {(standing.manager_id, standing.newest): None}
        if newest is not None:
            had[attachment.conversation.manager_id, newest] = None
        for manager_id, association in had:
            # A VSI that expires in Pre-Associate comes back with a Pre-Associate, which is an announcement.
            if cause is not Cause.EXPIRED or association.MODE is VdpMode.ASSOCIATE:
                self.departures.note(attachment.port, manager_id, association, cause, notify_at)
        return notify_at is not None

    def gone(self, attachment: Attachment) -> None:
        """Forget an attachment of which nothing is left."""
        self._registry.forget(attachment)
        self._effects.put(attachment.log_event(VsiGone))
        vsi = attachment.vsi
        if vsi.owner is None:
            self.departures.ended(vsi.vsi_id)

    def conclude(self) -> None:
        """Write the departures that have changed; then send announcements, for which no VM waits."""
        self.save_departures()
        announcements, self._pending.announcements = self._pending.announcements, []
        for announcement in announcements:
            for frame in announcement.frames:
                self._effects.put(frame)
            self._effects.put(announcement.attachment.log_event(VsiAnnounced, len(announcement.frames)))

    # --- requests for what the station does not have any more ---
    def repeats(self, port: PortId, received: AssociationReceived, now: float) -> bool:
        """Answer what a station sends for a VSI that has left its port; returns False for any new request.

        A keep-alive is answered with a De-Associate.
        """
        asked, vsi_id = received.association, received.association.vsi_id
        self._late.answer_before(port, vsi_id, now)
        identity = identity_of(received.manager_id, asked)
        departure = self.departures.find(vsi_id, port, identity)
        if departure is None or self._is_in_force(port, vsi_id, identity):
            return False
        vsi = self._registry.vsi(vsi_id)
        owner = vsi.owner if vsi is not None else None
        owned = owner is not None and owner.port != port and not self._takes_any(port)
        under_way = self._under_way(port)
        if asked.MODE is VdpMode.DEASSOCIATE or not departure.is_repetition(asked, owned, now, under_way):
            self.departures.drop(vsi_id, port, identity)
            late = departure.notify_at is not None and not self._registry.is_at(port, vsi_id)
            if asked.MODE is VdpMode.DEASSOCIATE and late:
                self._late.put(port, received, now)
                return True
            return False
        if departure.is_withheld_from(asked) and owner is not None and owner.port != port:
            # Any other answer would make the hypervisor act, as if the VM were still there.
            self.send(port, received.manager_id, asked.answer(SUCCESS), now)
            return True
        place = owner.port if owner else None
        self._effects.put(StaleVsiRequested(port, str(vsi_id), place, departure.cause.value))
        self.send(port, received.manager_id, asked.as_mode(VdpMode.DEASSOCIATE, SUCCESS), now)
        return True

    def expects(self, attachment: Attachment) -> bool:
        """True if a request like the newest of a VSI is a new one for sure: its station has no end to acknowledge."""
        port, vsi_id, identity = attachment.port, attachment.vsi.vsi_id, attachment.conversation.identity
        if identity is None or self._late.waits(port, vsi_id):
            return False
        return self.departures.find(vsi_id, port, identity) is None

    def _takes_any(self, port: PortId) -> bool:
        return self._stations[port].interface.takeover is Takeover.ANY

    def _under_way(self, port: PortId) -> float:
        """Return the seconds for which keep-alives may queue in a station: lldpad sends one ECPDU an ack timer."""
        vsis = self._registry.count_at(port) + self.departures.count_at(port)
        return _UNDER_WAY + vsis * self._stations[port].evb.operational.ack_timer

    def _is_in_force(self, port: PortId, vsi_id: VsiId, identity: Identity) -> bool:
        """True if the VSI is in force at that port by that identity: its keep-alives are what they seem."""
        vsi = self._registry.vsi(vsi_id)
        attachment = vsi.attachments.get(port) if vsi is not None else None
        if attachment is None or attachment.machine.in_force is None:
            return False
        return attachment.conversation.granted.identity == identity

    # --- the store ---
    def save_departures(self) -> None:
        """Write the departures that have changed."""
        if (changed := self.departures.changes(partial(self._tokens.take, self))) is not None:
            self._effects.put(Save(*changed))

    def saved(self, token: int, failure: str | None, now: float) -> None:
        """Process the end of a writing of departures."""
        self.departures.saved(token, failure)

    def restore(self, records: Mapping[str, bytes], now: float) -> None:
        """Restore the departures; stations that have not acknowledged theirs get a De-Associate, when it is due."""

        def notify_at(port: PortId, manager_id: ManagerId, association: Association) -> float | None:
            vsi = self._registry.vsi(association.vsi_id)
            vsi_type = _type_of(vsi.owner) if vsi is not None and vsi.owner is not None else None
            interface = self._stations[port].interface
            delay = treatment_of(interface, manager_id, association, vsi_type).notify_displaced
            return now + delay if delay else None

        if unusable := self.departures.restore(records, self._stations.__contains__, notify_at):
            self._effects.put(Save(self._tokens.take(), dict(unusable)))
        for vsi_id in self.departures.vsis():
            vsi = self._registry.vsi(vsi_id)
            self.owned(vsi_id, vsi.owner if vsi else None)
        for port, station in self._stations.items():
            for manager_id, association in self.departures.unacknowledged(port):
                station.keep_deassociate(manager_id, association)

    def owned(self, vsi_id: VsiId, owner: Attachment | None) -> None:
        """Note the owner of a VSI; None: its stations may associate it again."""
        if owner is None:
            self.departures.ended(vsi_id)
        else:
            self.departures.taken(vsi_id, owner.port)


def _type_of(attachment: Attachment) -> VsiType | None:
    """Return the VSI type in force at an attachment, None if there is none."""
    program = attachment.holding.program
    return None if program is None else program.vsi_type
