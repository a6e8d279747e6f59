"""Decisions about requests: may the port have the VSI, which type is it, can it be admitted, what does that lead to.

A decision may have to wait: for the end of an owner that is about to expire, for a VSI manager, or for switches that
are busy with other VSIs of the same port.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial

from ryu_apps.evb.bridge.machines import Machines
from ryu_apps.evb.bridge.vsi_port_claims import claimed_vsi_port
from ryu_apps.evb.bridge.vswitch_limits import VswitchLimits
from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.vsis import (
    AddressInUse,
    VdpRefused,
    VsiContested,
    VsiFlapping,
    VsiNotPermitted,
    VsiPortMissing,
    VsiSettled,
)
from ryu_apps.evb.model import Binding, VsiClaims
from ryu_apps.evb.policy.kept import kept_by_type
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.policy.offer import Offer
from ryu_apps.evb.ports.backlog import Backlog
from ryu_apps.evb.ports.bridge_port import BridgePort, bridge_mac
from ryu_apps.evb.protocol.vdp_bridge import Denied, VsiState
from ryu_apps.evb.services.appliance.claims import instance_of
from ryu_apps.evb.services.body import missing_requirement
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.station_treatment import StationTreatment
from ryu_apps.evb.vsi.absent_ports import AbsentPorts
from ryu_apps.evb.vsi.address_owners import AddressOwners
from ryu_apps.evb.vsi.admission import Admitted, Refusal, examine
from ryu_apps.evb.vsi.flapping import HELD, MOVES, WITHIN, Flapping
from ryu_apps.evb.vsi.lifecycle import Lifecycle
from ryu_apps.evb.vsi.places import Place
from ryu_apps.evb.vsi.registry import Attachment, Registry, Vsi
from ryu_apps.evb.vsi.steps import GateSwitch
from ryu_apps.evb.vsi.takeovers import Takeovers, WaitingTakeover
from ryu_apps.evb.vsi.treatment import treatment_of
from ryu_apps.evb.vsi_types.database import LookupPending, Settled, TypeDatabase, TypeLookup
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.evb.wire.vdp import VdpError, VdpMode
from ryu_apps.evb.wire.vsi_id import VsiId

#: Places that are kept: those of ports at which VSIs come.
_PLACES = 1024


class Decisions:
    """From ``Decide`` of a VDP machine to the lifecycle.

    Attributes:
        takeovers: Associates of VSIs that another port has.
        absent_ports: Associates whose VSI port is not there.
        foreseen: the :meth:`admission` of an Associate that follows before anything else; None: there is none.
    """

    def __init__(
        self,
        registry: Registry,
        lifecycle: Lifecycle,
        stations: Mapping[PortId, BridgePort],
        types: TypeDatabase,
        fabric: Fabric,
        lives_elsewhere: Callable[[PortId, Iterable[Binding]], str | None],
        machines: Machines,
        backlog: Backlog,
        effects: EffectSink,
    ) -> None:
        self.absent_ports = AbsentPorts()
        self.foreseen: tuple[Attachment, Admitted] | None = None
        self._flapping = Flapping()
        self.takeovers = Takeovers(lambda port: stations[port].interface.takeover, lifecycle.up)
        self._registry = registry
        self._lifecycle = lifecycle
        self._stations = stations
        self._types = types
        self._fabric = fabric
        self._table = lifecycle.gates.vsi_ports
        self._lives_elsewhere = lives_elsewhere
        self._machines = machines
        self._backlog = backlog
        self._effects = effects
        ports = [PortId(dpid, port_no) for dpid, switch in fabric.switches.items() for port_no in switch.interfaces]
        self._address_owners = AddressOwners(
            fabric, registry, frozenset(map(bridge_mac, ports)), self._station_elsewhere
        )
        self._vswitch_limits = VswitchLimits(fabric, registry)
        self._missing = kept_by_type(lambda vsi_type, dpid, vids: missing_requirement(vsi_type, fabric, dpid, vids))
        self._place = place = lru_cache(_PLACES)(partial(Place.of, fabric))
        self._filled = kept_by_type(
            lambda vsi_type, port, vsi_port, filter_info: place(port, vsi_port).fill(filter_info, vsi_type)
        )

    # --- what begins or continues a decision ---
    def begin(self, attachment: Attachment, attempt: int, now: float) -> None:
        """Decide about the newest request of an attachment."""
        self._lifecycle.asked(attachment)
        self._in_turn(attachment, attempt, self._decide, now)

    def reconsider(self, vsi: Vsi, now: float) -> None:
        """Decide about Associates that have waited for a VSI: something has happened to it."""
        for attachment, waited in self.takeovers.take(vsi):
            self._lifecycle.asked(attachment)
            self._decide(attachment, now, waited)

    def fetched(self, token: int, offer: Offer, now: float) -> Iterator[None]:
        """Continue the decisions that a VSI manager's answer ends the waiting of; see :meth:`_settle`."""
        return self._settle(self._types.fetched(token, offer, now), now)

    def tick(self, now: float) -> Iterator[None]:
        """Continue the decisions that can wait no longer for a VSI manager; see :meth:`_settle`."""
        return self._settle(self._types.tick(now), now)

    def _settle(self, settled: Iterable[Settled], now: float) -> Iterator[None]:
        """Continue decisions whose types are known or refused; yields after each, for its machine's outputs."""
        for waiter, found in settled:
            attachment = waiter.attachment
            machine = attachment.machine
            # A decision that has been overtaken does not need its type any more.
            deciding = machine.state is VsiState.DECIDING and machine.attempt == waiter.attempt
            if attachment.present and deciding:
                self._in_turn(attachment, waiter.attempt, partial(self._decide_with, vsi_type=found), now)
                yield

    def _in_turn(
        self, attachment: Attachment, attempt: int, work: Callable[[Attachment, float], None], now: float
    ) -> None:
        """Do what may change switches, now or when they have done more of what the port has requested."""

        def later(then: float) -> None:
            # It may have been overtaken meanwhile, or have taken too long.
            if attachment.machine.awaits(attempt):
                work(attachment, then)

        if self._backlog.is_full(attachment.port):
            self._backlog.put(attachment.port, later, now)
        else:
            work(attachment, now)

    # --- may the port have the VSI ---
    def _decide(self, attachment: Attachment, now: float, waited: WaitingTakeover | None = None) -> None:
        if self._is_beyond_limits(attachment, now) or self._is_damped(attachment, now):
            return
        rival = self.takeovers.blocking_owner(attachment, now)
        if rival is None:
            found = self._types.ask(attachment, now)
            if not isinstance(found, LookupPending):
                self._decide_with(attachment, now, found)
            return
        until, latest = self.takeovers.expiry_of(rival, now), attachment.machine.deadline
        # An owner that has been heard while another port waited for its end is alive.
        alive = waited is not None and waited.owner is rival and waited.until != until
        if until is not None and latest is not None and now < until < latest and not alive:
            self.takeovers.wait(attachment, rival, until)
        else:
            self._contest(attachment, str(rival.port), now)

    def _beyond_limits(self, attachment: Attachment) -> tuple[str, str] | None:
        """Return the limit of the port that the newest request exceeds, and the value; None: it exceeds none."""
        limits = self._stations[attachment.port].interface.limits
        asked = attachment.conversation.newest
        assert asked is not None
        if not any(limits):
            return None
        macs = [None if entry.mac is None else mac_to_text(entry.mac) for entry in asked.filter_info.entries]
        return limits.beyond(str(attachment.vsi.vsi_id), f"{asked.type_id}/{asked.version}", macs)

    def _is_beyond_limits(self, attachment: Attachment, now: float) -> bool:
        """Refuse what the port's configuration does not permit; before the owner is considered, who has no quarrel."""
        if (beyond := self._beyond_limits(attachment)) is None:
            return False
        limit, value = beyond
        error = VdpError.INVALID_VID_GROUP_MAC if limit == "macs" else VdpError.OTHER_FAILURE
        told = attachment.log_event(VsiNotPermitted, limit, value)
        self._refuse(attachment, Refusal(error, True, f"{value} is not among the {limit} of the port"), now, told)
        return True

    def _is_damped(self, attachment: Attachment, now: float) -> bool:
        """Refuse an Associate that takes a VSI which is taken too often; Pre-Associates change no gate."""
        vsi = attachment.vsi
        if attachment.machine.wanted is not VdpMode.ASSOCIATE or not self._stays(attachment, now):
            return False
        assert vsi.owner is not None
        reason = (
            f"ports have taken the VSI {MOVES} times within {WITHIN} s, and it stays at {vsi.owner.port} for {HELD} s"
        )
        self._refuse(attachment, Refusal(VdpError.INSUFFICIENT_RESOURCES, False, reason), now)
        return True

    def _stays(self, attachment: Attachment, now: float) -> bool:
        """True if the VSI stays at its owner for a time, since ports take it too often."""
        vsi = attachment.vsi
        return vsi.owner not in (None, attachment) and self._flapping.is_damped(vsi.vsi_id, now)

    def admission(self, attachment: Attachment, now: float) -> Admitted | None:
        """Return how an Associate like the Pre-Associate in force is admitted; None: it would not open a gate at once.

        Every check of :meth:`begin` is made.  What takes more than a look is taken for a refusal.
        """
        conversation, owner, program = attachment.conversation, attachment.vsi.owner, attachment.holding.program
        asked, meaning = conversation.newest, conversation.asked
        if asked is None or meaning is None or program is None or not conversation.announced:
            return None
        # The addresses of the last station count, and may have changed since.
        inherits = owner not in (None, attachment) and not conversation.told
        if inherits and owner is not None and owner.addresses != conversation.inherited:
            return None
        if self._beyond_limits(attachment) or self._stays(attachment, now):
            return None
        if not self.takeovers.is_announced(attachment):
            return None
        vsi_type = self._types.at_hand(attachment)
        if vsi_type is None or self._types.origin(conversation.manager_id, vsi_type.key) != meaning.origin:
            return None
        found = self._examine(attachment, vsi_type)
        if isinstance(found, Refusal) or self._vswitch_limits.exceeded(attachment, found) is not None:
            return None
        claims = VsiClaims(found.placed.bindings, conversation.claimed, found.placed.priorities, found.vsi_port)
        return found if program.serves(found.vsi_type, claims) else None

    def _contest(self, attachment: Attachment, owner: str, now: float) -> None:
        reason = f"the VSI is at {owner}, and no Pre-Associate has announced that it moves"
        is_new = self.takeovers.contest(attachment, now)
        told = attachment.log_event(VsiContested, owner, attachment.port) if is_new else None
        self._refuse(attachment, Refusal(VdpError.INSUFFICIENT_RESOURCES, False, reason), now, told)

    def _refuse(self, attachment: Attachment, refusal: Refusal, now: float, told: LogEvent | None = None) -> None:
        """Refuse the newest request of an attachment.

        Args:
            told: a further event that says more of the cause.
        """
        self._effects.put(attachment.log_event(VdpRefused, refusal.reason, refusal.error))
        if told is not None:
            self._effects.put(told)
        self.deny(attachment, Denied(refusal.error, refusal.hard, attachment.machine.attempt), now)

    def deny(self, attachment: Attachment, denied: Denied, now: float) -> bool:
        """Feed a refusal to the machine; True: the store is to take back first what an older request has led to."""
        if attachment.machine.awaits(denied.attempt) and self._lifecycle.refusals.takes_back(attachment, denied):
            return True
        self._machines.feed(attachment, denied, now)
        return False

    def abandon(self, attachment: Attachment) -> None:
        """Return to the request in force, after the newest has been refused or has taken too long."""
        self._lifecycle.refusals.abandon(attachment)
        if attachment.holding.program is not None:
            self._registry.hold(attachment, *attachment.holding.program.binding.claims)

    def owned(self, gate_switch: GateSwitch, now: float) -> None:
        """End the contest for a VSI whose gate is open, newly or at another port."""
        vsi = gate_switch.attachment.vsi
        if gate_switch.losers and self._flapping.taken(vsi.vsi_id, now):
            self._effects.put(gate_switch.attachment.log_event(VsiFlapping, MOVES, WITHIN))
        if self.takeovers.settle(vsi.vsi_id):
            self.log_settled(vsi.vsi_id)

    def log_settled(self, vsi_id: VsiId) -> None:
        """Log that a VSI is not contested any more."""
        vsi = self._registry.vsi(vsi_id)
        owner = vsi.owner.port if vsi is not None and vsi.owner else None
        self._effects.put(VsiSettled(owner, str(vsi_id), owner))

    # --- can it be admitted ---
    def _decide_with(self, attachment: Attachment, now: float, vsi_type: TypeLookup) -> None:
        found = self._admitted(attachment, now, vsi_type)
        if found is None:
            return
        if self.takeovers.is_unannounced(attachment) and (
            place := self._lives_elsewhere(self._behind(attachment.port, found.vsi_port), found.placed.bindings)
        ):
            # The bridge has lost its records, but the switches still have the gate.
            self._contest(attachment, place, now)
            return
        conversation, treatment = attachment.conversation, self._treatment(attachment, found.vsi_type)
        conversation.filled, conversation.keeps_null_vids = found.placed.filled, treatment.keep_null_vids
        placed, vsi_port = found.placed, found.vsi_port
        self._registry.hold(attachment, placed.bindings, conversation.claimed, placed.priorities, vsi_port)
        mode = attachment.machine.wanted
        if mode is VdpMode.ASSOCIATE and vsi_port and self._table.interface(attachment.port.dpid, vsi_port) is None:
            self.absent_ports.wait(attachment, now)
            return
        if mode is VdpMode.PREASSOCIATE and not treatment.stage_on_preassociate:
            self._lifecycle.grant_unstaged(attachment, found.vsi_type)
        else:
            self._lifecycle.stage(attachment, found.vsi_type)
        self._machines.feed_decisions(now)

    def _admitted(self, attachment: Attachment, now: float, vsi_type: TypeLookup) -> Admitted | None:
        """Admit the newest request of an attachment; None: it is refused."""
        foreseen, self.foreseen = self.foreseen, None
        if foreseen is not None and foreseen[0] is attachment and foreseen[1].vsi_type is vsi_type:
            return foreseen[1]
        found = self._examine(attachment, vsi_type)
        if isinstance(found, Refusal):
            told = attachment.log_event(AddressInUse, *found.in_use) if found.in_use is not None else None
            self._refuse(attachment, found, now, told)
            return None
        beyond = self._vswitch_limits.exceeded(attachment, found)
        if beyond is not None:
            self._refuse(attachment, beyond.refusal, now, beyond.told)
            return None
        return found

    def _behind(self, port: PortId, vsi_port: str) -> PortId:
        """The port behind which the VM of a request is, as rules of a switch show it."""
        there = self._table.interface(port.dpid, vsi_port) if vsi_port else None
        return port if there is None else PortId(port.dpid, there.port_no)

    def port_appeared(self, dpid: int, vsi_port: str, now: float) -> Iterator[None]:
        """Continue the Associates that have waited for a VSI port; see :meth:`_settle`."""
        for attachment in self.absent_ports.take(dpid, vsi_port):
            self._in_turn(attachment, attachment.machine.attempt, self._decide, now)
            yield

    def refuse_absent(self, now: float) -> Iterator[None]:
        """Refuse the Associates whose VSI port has not appeared in time; see :meth:`_settle`."""
        for attachment in self.absent_ports.due(now):
            if self._table.interface(attachment.port.dpid, attachment.vsi_port) is not None:
                # It was there when its switch connected, before anything could be sent to the switch.
                self._in_turn(attachment, attachment.machine.attempt, self._decide, now)
                yield
                continue
            missing = Refusal(VdpError.INSUFFICIENT_RESOURCES, False, f"VSI port {attachment.vsi_port} is not there")
            self._effects.put(attachment.log_event(VsiPortMissing, attachment.vsi_port))
            self._refuse(attachment, missing, now)
            yield

    def _examine(self, attachment: Attachment, vsi_type: TypeLookup) -> Admitted | Refusal:
        if isinstance(vsi_type, Refusal):
            return vsi_type
        vsi_port = claimed_vsi_port(self._fabric, self._registry, attachment)
        if isinstance(vsi_port, Refusal):
            return vsi_port
        asked = attachment.conversation.newest
        assert asked is not None
        return examine(
            self._place(attachment.port, vsi_port),
            vsi_type,
            asked.filter_info,
            partial(self._address_owners.binding, attachment, instance_of(vsi_type)),
            lambda vsi_type, vids: self._missing(vsi_type, attachment.port.dpid, vids),
            attachment.conversation.claimed,
            partial(
                self._address_owners.address,
                attachment,
                frozenset(entry.mac for entry in asked.filter_info.entries),
            ),
            lambda vsi_type, filter_info: self._filled(vsi_type, attachment.port, vsi_port, filter_info),
        )

    def _station_elsewhere(self, attachment: Attachment, mac: int) -> bool:
        # Without a generator: with hundreds of ports each of its steps costs as much as the comparison.
        for port, station in self._stations.items():  # noqa: SIM110
            if station.known == mac and port != attachment.port:
                return True
        return False

    def _treatment(self, attachment: Attachment, vsi_type: VsiType) -> StationTreatment:
        conversation = attachment.conversation
        assert conversation.newest is not None
        interface = self._stations[attachment.port].interface
        return treatment_of(interface, conversation.manager_id, conversation.newest, vsi_type)
