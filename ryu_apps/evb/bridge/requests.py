"""VDP requests of stations, and what becomes of them: the entry of everything that is about VSIs.

A request means something (its type, its bindings), its machine says when to decide, ``decisions`` whether,
``vsi.lifecycle`` carries it out, and the machine says what to answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from ryu_apps.evb.bridge.answers import Answers, Send
from ryu_apps.evb.bridge.decisions import Decisions
from ryu_apps.evb.bridge.keep_alives import KeepAlives
from ryu_apps.evb.bridge.machines import Machines
from ryu_apps.evb.bridge.migrations import Migrations
from ryu_apps.evb.bridge.request_reader import RequestReader, ends_attachment
from ryu_apps.evb.bridge.suspension_reports import SuspensionReports
from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.vsis import VdpRequested
from ryu_apps.evb.model import Binding, VsiTypeKey
from ryu_apps.evb.policy.offer import Offer
from ryu_apps.evb.ports.backlog import Backlog
from ryu_apps.evb.ports.bridge_port import BridgePort
from ryu_apps.evb.ports.outputs import AssociationReceived
from ryu_apps.evb.protocol import vdp_bridge as machine
from ryu_apps.evb.protocol.table import Tick, earliest
from ryu_apps.evb.tokens import TokenTable
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.admission import Admitted, Refusal
from ryu_apps.evb.vsi.departures import Departures
from ryu_apps.evb.vsi.lifecycle import Lifecycle
from ryu_apps.evb.vsi.registry import Attachment, Registry, Vsi
from ryu_apps.evb.vsi.stale_rules import StaleRules
from ryu_apps.evb.vsi.steps import GateSwitch
from ryu_apps.evb.vsi_types.database import TypeDatabase
from ryu_apps.evb.wire.vdp import Association, ManagerId, RequestStatus, VdpError, VdpMode, identity_of

#: VSIs that one port may have; a station cannot make the bridge remember more.
MAX_VSIS = 4096
#: Seconds until a VSI that has expired is looked at again while switches are busy with others of its port.
_EXPIRE_AGAIN = 0.02
#: Seconds for which the refusal of what takes too long waits for the store.
_TAKEN_BACK = 1.0


class Associations:
    """All VSIs of one bridge as their stations see them.

    Attributes:
        stale_rules: rules of released VSIs in switches that are away.
        backlog: requests that wait because switches are busy with others of the same port.
        keep_alives: what follows from times in which stations cannot be heard.
    """

    def __init__(
        self,
        registry: Registry,
        lifecycle: Lifecycle,
        stations: Mapping[PortId, BridgePort],
        types: TypeDatabase,
        fabric: Fabric,
        migrations: Migrations,
        tokens: TokenTable,
        effects: EffectSink,
        lives_elsewhere: Callable[[PortId, Iterable[Binding]], str | None],
        send: Send,
    ) -> None:
        """
        Args:
            types: the VSI types of all managers.
            lives_elsewhere: switch with a gate for addresses that a port requests, if only its rules show that.
            send: sends an association TLV to the station at a port.
        """
        self.stale_rules = StaleRules(lifecycle.up)
        self.backlog = Backlog(lifecycle.pending.under_way)
        self._registry = registry
        self._lifecycle = lifecycle
        self._stations = stations
        self._types = types
        self._migrations = migrations
        self._effects = effects
        self._machines = Machines(registry, lifecycle.pending)
        self._answers = Answers(registry, stations, lifecycle.pending, tokens, effects, send)
        self._decisions = Decisions(
            registry, lifecycle, stations, types, fabric, lives_elsewhere, self._machines, self.backlog, effects
        )
        self._takeovers = self._decisions.takeovers
        self._reader = RequestReader(stations, types)
        self.keep_alives = KeepAlives(registry, self._machines, self._answers, self._takeovers)
        self._suspensions = SuspensionReports(lifecycle, effects)
        self._touched: dict[Vsi, None] = {}
        self._let_off: dict[Attachment, AssociationReceived] = {}

    @property
    def departures(self) -> Departures:
        """Ports that VSIs have left without their stations having said so."""
        return self._answers.departures

    @property
    def deadline(self) -> float | None:
        """Time at which to call :meth:`tick`, monotonic seconds."""
        return earliest(
            self._machines.deadline,
            self._types.deadline,
            self.backlog.deadline,
            self._answers.deadline,
            self._decisions.absent_ports.deadline,
            *self._takeovers.deadlines,
        )

    # --- what comes in ---
    def heard(self, port: PortId, received: AssociationReceived, now: float) -> None:
        """Process an association TLV of a station."""
        asked = received.association
        if isinstance(asked.status, RequestStatus):
            ends = asked.MODE is VdpMode.DEASSOCIATE and self._registry.is_at(port, asked.vsi_id)
            if (ends and self.backlog.is_full(port)) or self.backlog.waits(port, asked.vsi_id):
                self.backlog.put(port, partial(self._take_in, port, received), now, ahead_of=asked.vsi_id)
            else:
                self._take_in(port, received, now)
        self._answers.conclude()

    def acknowledged(self, port: PortId, manager_id: ManagerId, association: Association, now: float) -> None:
        """Process a station's acknowledgement of a De-Associate: from now on its requests are new ones."""
        vsi_id, identity = association.vsi_id, identity_of(manager_id, association)
        attached = self._registry.vsi(vsi_id) is not None
        self._answers.departures.acknowledge(vsi_id, port, identity, now, attached)
        self._answers.conclude()

    def answer(self, now: float) -> None:
        """Process what the lifecycle has decided; :meth:`proceed` has to follow."""
        self._machines.feed_decisions(now)
        self._drain(now)

    def proceed(self, now: float) -> None:
        """Process what the lifecycle has decided, then requests that have waited for switches."""
        self.answer(now)
        for work in self._suspensions.take_ready():
            work(now)
        self._go_on(now)
        self._answers.conclude()

    def opened(self, gate_switch: GateSwitch, now: float) -> None:
        """Note that a gate is open, newly or at another port."""
        vsi = gate_switch.attachment.vsi
        self._answers.owned(vsi.vsi_id, vsi.owner)
        self._decisions.owned(gate_switch, now)

    def fetched(self, token: int, offer: Offer, now: float) -> None:
        """Process the answer of a VSI manager, or its absence."""
        self._decide(self._decisions.fetched(token, offer, now), now)
        self._go_on(now)
        self._answers.conclude()

    def port_appeared(self, dpid: int, vsi_port: str, now: float) -> None:
        """Continue the Associates that have waited for a VSI port, which is there now."""
        self._decide(self._decisions.port_appeared(dpid, vsi_port, now), now)
        self._go_on(now)
        self._answers.conclude()

    def deassociate(self, text: str, reason: str, now: float) -> None:
        """Take a VSI off every port; an unknown one is at none."""
        vsi = self._registry.named(text)
        for attachment in list(vsi.attachments.values()) if vsi else ():
            self._machines.deassociate(attachment, reason, now)
        self._drain(now)
        self._go_on(now)
        self._answers.conclude()

    def end(self, attachment: Attachment, reason: str, now: float) -> None:
        """Take a VSI off one port."""
        self._machines.deassociate(attachment, reason, now)
        self._drain(now)
        self._go_on(now)
        self._answers.conclude()

    def admission(self, attachment: Attachment, now: float) -> Admitted | None:
        """Return how an Associate like the Pre-Associate in force would be admitted now; None: refused, or it waits.

        Its steps are those of :meth:`heard`; nothing changes by the question.
        """
        if self.backlog.is_full(attachment.port) or self._takeovers.waits_for(attachment.vsi):
            return None
        if self._suspensions.concerns(attachment) or not self._answers.expects(attachment):
            return None
        return self._decisions.admission(attachment, now)

    def foresaw(self, admission: tuple[Attachment, Admitted] | None) -> None:
        """Note the :meth:`admission` of the Associate that follows at once, whose steps take it; None: it has not."""
        self._decisions.foreseen = admission

    def is_announced(self, attachment: Attachment) -> bool:
        """Return True if the newest Associate may take a VSI from its owner."""
        return self._takeovers.is_announced(attachment)

    def needs_no_announcement(self, attachment: Attachment) -> bool:
        """Return True if the newest Associate may do so without an announcement."""
        return self._takeovers.needs_no_announcement(attachment)

    # --- restarts ---
    def resume(self, records: Mapping[str, bytes], now: float) -> None:
        """Watch the deadlines of a restored registry, and restore the departures from their records."""
        for attachment in self._registry.attachments():
            self._machines.watch(attachment)
            self._takeovers.away(attachment.port.dpid, now)
        self._answers.restore(records, now)
        self._answers.conclude()

    def announce_moves(self, port: PortId, now: float) -> None:
        """Inform the station at a port of VSIs that moved away before the controller was restarted."""
        for attachment in self._registry.attachments_at(port):
            if attachment.conversation.left:
                attachment.conversation.left = False
                self._machines.feed(attachment, machine.BridgeDeassociate("associated at another port"), now)
        self._drain(now)
        self._answers.conclude()

    def save_again(self) -> None:
        """Write again what the store has failed to write."""
        self._answers.departures.again()
        self._answers.conclude()

    def tick(self, now: float, unread: frozenset[PortId] = frozenset()) -> None:
        """Serve the deadlines that have passed; ``unread``: ports of which frames wait to be read."""
        for attachment in self._machines.due(now):
            self._expire(attachment, now, attachment.port in unread)
        self._decide(self._decisions.tick(now), now)
        self._decide(self._decisions.refuse_absent(now), now)
        for vsi in self._takeovers.due(now):
            self._decisions.reconsider(vsi, now)
            self._drain(now)
        for vsi_id in self._takeovers.settled(now):
            self._decisions.log_settled(vsi_id)
        self._answers.tick(now)
        self._go_on(now)
        self._answers.conclude()

    def _expire(self, attachment: Attachment, now: float, unread: bool) -> None:
        port, held = attachment.port, attachment.machine.state is machine.VsiState.HELD
        if unread or port.dpid not in self._lifecycle.up or self.backlog.is_busy(port):
            # Its keep-alive may be among the frames that cannot come, or are not read yet.
            self._machines.restart_keep_alive(attachment, now)
        elif held and self.backlog.is_worked_for(port) and not self._takeovers.waits_for(attachment.vsi):
            self._machines.watch(attachment, now + _EXPIRE_AGAIN)
            return
        elif attachment.machine.is_overdue(now) and self._lifecycle.refusals.takes_back(
            attachment, machine.Denied(VdpError.INSUFFICIENT_RESOURCES, attempt=attachment.machine.attempt)
        ):
            # Then it is refused without the store: its station does not wait much longer.
            self._machines.watch(attachment, now + _TAKEN_BACK)
            return
        self._machines.feed(attachment, Tick(), now)
        self._drain(now)

    # --- requests ---
    def _take_in(self, port: PortId, received: AssociationReceived, now: float) -> None:
        if not self._answers.repeats(port, received, now):
            self._stations[port].cancel_deassociate(received.manager_id, received.association)
            self._hear(port, received, now)

    def _hear(self, port: PortId, received: AssociationReceived, now: float) -> None:
        asked = received.association
        vsi = self._registry.vsi(asked.vsi_id)
        attachment = vsi.attachments.get(port) if vsi else None
        if attachment is not None:
            if asked.MODE is not VdpMode.DEASSOCIATE or ends_attachment(attachment, received):
                self._request(attachment, received, now)
            else:
                self._let_go(attachment, received, now)
        elif asked.MODE is VdpMode.DEASSOCIATE:
            self._answers.confirm(port, received, now)
        elif self._registry.count_at(port) >= MAX_VSIS:
            reason = f"the port has {MAX_VSIS} VSIs already"
            refusal = Refusal(VdpError.INSUFFICIENT_RESOURCES, False, reason)
            self._answers.turn_away(port, received, refusal, now)
        elif vsi is None and (permanent := self._types.permanent_refusal(received.manager_id, asked)):
            self._answers.turn_away(port, received, permanent, now)
        else:
            bridge = machine.VdpBridge(self._stations[port].evb.operational)
            attachment = self._registry.attach(asked.vsi_id, port, received.manager_id, bridge, now)
            self._request(attachment, received, now)

    def _let_go(self, attachment: Attachment, received: AssociationReceived, now: float) -> None:
        """Drop a second VSI of the same VSIID; if that is being decided, what is in force stays."""
        if attachment.conversation.identity == identity_of(received.manager_id, received.association):
            denied = machine.Denied(VdpError.OTHER_FAILURE, attempt=attachment.machine.attempt)
            if attachment in self._let_off or self._decisions.deny(attachment, denied, now):
                self._let_off[attachment] = received
                return
            self._drain(now)
        self._answers.confirm(attachment.port, received, now)

    def _confirm_let_off(self, attachment: Attachment, now: float) -> None:
        """Answer the De-Associate of a second VSI of the same VSIID, for which the store had to take something back."""
        if (received := self._let_off.pop(attachment, None)) is not None:
            self._answers.confirm(attachment.port, received, now)

    def _request(self, attachment: Attachment, received: AssociationReceived, now: float) -> None:
        asked, conversation = received.association, attachment.conversation
        if self._suspensions.waits(attachment, asked, partial(self._hear, attachment.port, received)):
            return
        announced_before = conversation.announced
        request = self._reader.read(attachment, received)
        held_before = attachment.machine.state is machine.VsiState.HELD
        self._machines.feed(attachment, request, now)
        keep_alive = held_before and attachment.machine.state is machine.VsiState.HELD
        if not keep_alive:
            self._note_request(attachment, asked, now)
        elif conversation.announced and not announced_before:
            self._lifecycle.grants.record(attachment)
        self._drain(now, quiet=keep_alive)
        self._suspensions.note(attachment, asked, keep_alive)

    def _note_request(self, attachment: Attachment, asked: Association, now: float) -> None:
        status = asked.status
        assert isinstance(status, RequestStatus)
        owner = attachment.vsi.owner
        hindered = self._takeovers.blocking_owner(attachment, now) is not None
        if asked.MODE is not VdpMode.DEASSOCIATE and owner is not attachment and not hindered:
            self._migrations.begin(attachment.text, owner.port if owner else None, attachment.port)
        key = VsiTypeKey(asked.type_id, asked.version)
        self._effects.put(attachment.log_event(VdpRequested, asked.MODE, key, status.migrating, status.suspended))

    # --- outputs of the VDP machines ---
    def _drain(self, now: float, quiet: bool = False) -> None:
        for attachment, output in self._machines.outputs():
            if self._takeovers.waits_for(attachment.vsi):
                self._touched[attachment.vsi] = None
            match output:
                case machine.Decide(attempt=attempt):
                    self._decisions.begin(attachment, attempt, now)
                case machine.Respond(mode, status):
                    if status.keep:
                        self._decisions.abandon(attachment)
                    self._answers.respond(attachment, mode, status, now, quiet)
                    self._confirm_let_off(attachment, now)
                case machine.Announce(reason):
                    self._answers.announce(attachment, reason, now)
                case machine.ReleaseVsi():
                    self.stale_rules.released(attachment)
                    self._lifecycle.release(attachment)
                case machine.Forget():
                    self._answers.gone(attachment)
                    self._confirm_let_off(attachment, now)
            self._machines.feed_decisions(now)
            self._machines.watch(attachment)
        while self._touched:
            vsi = next(iter(self._touched))
            del self._touched[vsi]
            self._decisions.reconsider(vsi, now)
            self._drain(now)

    def _decide(self, decided: Iterator[None], now: float) -> None:
        for _ in decided:
            self._drain(now)

    def _go_on(self, now: float) -> None:
        """Do work that has waited, as far as switches have finished other work of the same port."""
        for work in self.backlog.take(now):
            work(now)
            self._drain(now)
