"""Installation and removal of the bodies of programs in switches, with the reservations of rules for them.

A type body is shared by all programs of a switch that need it.  A program's own rules have its index in their cookie;
the index is free again when they are gone.  Nothing here opens or closes a gate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ryu_apps.evb.event_catalogue.vsis import BodyStaging, GroupsStaged
from ryu_apps.evb.events.effect import GATE_LANE, Mode
from ryu_apps.evb.flow.change import RuleBlock, RuleChange
from ryu_apps.evb.flow.rule import FIRST_OF_VSIS, Rule
from ryu_apps.evb.model import Phase, VsiBinding
from ryu_apps.evb.pipeline.tables import GENERATION_BITS, OWNER_BITS, CookieKind, of_kind, owned_by
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.services.address_sets import set_tests
from ryu_apps.evb.services.body import (
    body_of_vsi,
    counters_of_vsi,
    learnt_capacity,
    meters_of_vsi,
    minimum_of,
    multicast_of,
)
from ryu_apps.evb.snooping.subscriptions import carried_groups
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi import needs
from ryu_apps.evb.vsi.bodies import Epochs, Indices, TypeBody
from ryu_apps.evb.vsi.gate_meters import GateMeters
from ryu_apps.evb.vsi.gatekeeper import Gatekeeper
from ryu_apps.evb.vsi.group_installer import GroupInstaller
from ryu_apps.evb.vsi.idle_meters import IdleMeters
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.pending import PendingChanges, type_lane
from ryu_apps.evb.vsi.records.attachment import ProgramRecord
from ryu_apps.evb.vsi.registry import Attachment
from ryu_apps.evb.vsi.reservation import METERS, RULES, Demand, Reservations, SwitchResource
from ryu_apps.evb.vsi.shared_rules import SharedRules
from ryu_apps.evb.vsi.state_transfer import StateTransfer
from ryu_apps.evb.vsi.statistics.counters import CounterReader
from ryu_apps.evb.vsi.steps import Staging


class Installer:
    """The bodies in all switches.

    Attributes:
        shared: rules that programs of a switch share.
        bodies: type bodies by datapath id and epoch.
        indices: those that stand for programs.
        idle_meters: rate limits whose rules are gone.
        gate_meters: numbers of the meters of gates.
        ended: index and generation of programs that were taken out while that had to be remembered.
    """

    def __init__(
        self,
        pending: PendingChanges,
        ledger: Reservations,
        epochs: Epochs,
        gatekeeper: Gatekeeper,
        groups: GroupInstaller,
        handover: StateTransfer,
        counters: CounterReader,
        gate_meters: GateMeters,
    ) -> None:
        self.shared = SharedRules(pending, ledger, gatekeeper.set_members)
        self.bodies = self.shared.bodies
        self.indices = Indices(OWNER_BITS)
        self.idle_meters = IdleMeters()
        self.gate_meters = gate_meters
        self.ended: set[tuple[int, int]] = set()
        self._remembers_ended = False
        self._pending = pending
        self._ledger = ledger
        self._epochs = epochs
        self._gatekeeper = gatekeeper
        self._groups = groups
        self._handover = handover
        self._counters = counters
        self._generation = 0
        # Tokens of the changes that bring members, by switch.
        self._bringing: dict[int, list[int]] = {}

    def program(self, attachment: Attachment, vsi_type: VsiType) -> Installation:
        """Make the program of a request, with an index of its own."""
        # The generation tells the rules from those of an earlier user of the index, on a switch that was away.
        self._generation = self._generation % ((1 << GENERATION_BITS) - 1) + 1
        binding = VsiBinding(self.indices.take(), self._generation, *attachment.claims)
        return Installation(vsi_type, self._epochs.number(vsi_type), binding, Phase.STAGING)

    def probe(self, attachment: Attachment, vsi_type: VsiType) -> str | None:
        """Return the reason why the program of a request could not be brought in now; None: it could.

        Nothing is reserved.
        """
        program = self.program(attachment, vsi_type)
        # Only for the demands: the program is not kept.
        self.indices.give_back(program.binding.vsi_index)
        short = self._shortage(attachment, program, self._ledger.shortage)
        return short or self._groups_refused(attachment, program)

    def admit(self, attachment: Attachment, program: Installation) -> str | None:
        """Set room aside for a program; returns the reason why it cannot be brought in, None: it can."""
        dpid = attachment.port.dpid
        program.binding = replace(program.binding, gate_meter=self.gate_meters.take(attachment, program))
        reason = self.reserve(attachment, program) or self._groups_refused(attachment, program)
        if reason is not None:
            self.gate_meters.untake(dpid, program.binding.gate_meter)
            program.binding = replace(program.binding, gate_meter=None)
        multicast = multicast_of(program.vsi_type, program.binding.bindings)
        if reason is None and multicast is not None:
            carried = carried_groups(attachment.vsi.listener, multicast)
            self._pending.log(GroupsStaged, attachment, groups=len(carried), configured=len(multicast.groups))
        return reason

    @staticmethod
    def _groups_refused(attachment: Attachment, program: Installation) -> str | None:
        """Return the reason why the VSI's groups cannot be carried along; None: they can."""
        multicast = multicast_of(program.vsi_type, program.binding.bindings)
        carried = 0 if multicast is None else len(carried_groups(attachment.vsi.listener, multicast))
        if multicast is None or carried <= multicast.max_groups:
            return None
        return f"{carried} groups to carry, the VSI type has room for {multicast.max_groups}"

    def reserve(self, attachment: Attachment, program: Installation) -> str | None:
        """Reserve room on every switch and at every port, or nowhere; returns the reason for a refusal."""
        if short := self._shortage(attachment, program, self._ledger.reserve):
            return short
        rates = self._ledger.bandwidth.rates(attachment.port, minimum_of(program.vsi_type), program.binding.vids)
        self._ledger.bandwidth.reserve(program.binding.vsi_index, attachment.vsi.text, rates)
        self._gatekeeper.floods.rooms.staged(attachment.port.dpid, program.binding)
        self._note_member(attachment.port.dpid, program)
        return None

    def _note_member(self, dpid: int, program: Installation) -> None:
        self._gatekeeper.set_members.reserved((dpid, *self._gatekeeper.others(dpid)), program)

    def _shortage(
        self, attachment: Attachment, program: Installation, spent: Callable[..., SwitchResource | None]
    ) -> str | None:
        """Return the reason why there is no room; ``spent`` reserves demands, or compares them with the budgets."""
        bandwidth, dpid = self._ledger.bandwidth, attachment.port.dpid
        rates = bandwidth.rates(attachment.port, minimum_of(program.vsi_type), program.binding.vids)
        return (
            self._gatekeeper.set_members.excess(program)
            or bandwidth.shortage(attachment.vsi.text, rates)
            or self._gatekeeper.floods.rooms.full(dpid, program.binding)
            or _spent(spent(*self._demands(attachment.port, program)))
        )

    def _demands(self, port: PortId, program: Installation) -> list[Demand]:
        dpid, profile = port.dpid, self._gatekeeper.profile(port.dpid)
        block = self._epochs.block(program.vsi_type, profile)
        rules = self.own_rules(port, program)
        program.own = len(rules)
        # A type body counts for its first VSI at a switch; later ones add nothing.
        first = (dpid, program.epoch) not in self.bodies
        program.rules = program.own + (len(block) if first else 0)
        others = self._gatekeeper.others(dpid)
        own = [
            *needs.of_vsi(dpid, profile, others, program, rules),
            *self._meters_of_gates(dpid, program),
            *self._gatekeeper.floods.rooms.demands(dpid, program.binding),
            *self._gatekeeper.set_members.demands(dpid, others, program),
        ]
        return [needs.of_type(dpid, program.epoch, block), *own] if first else own

    def own_rules(self, port: PortId, program: Installation) -> tuple[Rule, ...]:
        """Return the rules of a program at a port without those of its type."""
        profile = self._gatekeeper.profile(port.dpid)
        body = body_of_vsi(program.vsi_type, program.binding, profile)
        return (*body, *self._gatekeeper.staged.rules(port, program))

    def basis(self, port: PortId, program: Installation) -> tuple[object, ...]:
        """Return what :meth:`own_rules` depends on: where it is equal, the rules are equal."""
        return program.vsi_type, program.binding, *self._gatekeeper.staged.basis(port, program)

    def _meters_of_gates(self, dpid: int, program: Installation) -> list[Demand]:
        """Return the demand for all meters of gates of a switch, used or not, for they are never deleted."""
        if program.binding.gate_meter is None:
            return []
        return [Demand(dpid, ("gates", 0), {METERS: self.gate_meters.size(dpid)})]

    def resume(self, attachment: Attachment, record: ProgramRecord, vsi_type: VsiType, phase: Phase) -> Installation:
        """Take up a program of an earlier process of the bridge; the switch still holds it."""
        dpid = attachment.port.dpid
        self._epochs.resume(vsi_type, record.epoch)
        self.indices.reserve(record.binding.vsi_index)
        self._generation = max(self._generation, record.binding.generation)
        # Whether a gate has ever led to it is not recorded, so it is taken as if.
        binding = replace(record.binding, gate_meter=self.gate_meters.resume(dpid, record.binding.gate_meter))
        program = Installation(vsi_type, record.epoch, binding, phase, opened=True)
        self._ledger.force(self._demands(attachment.port, program))
        rates = self._ledger.bandwidth.rates(attachment.port, minimum_of(vsi_type), binding.vids)
        self._ledger.bandwidth.reserve(program.binding.vsi_index, attachment.vsi.text, rates)
        self._gatekeeper.floods.rooms.staged(dpid, program.binding)
        body = self.bodies.get((dpid, program.epoch))
        if body is None:
            block = self._epochs.block(vsi_type, self._gatekeeper.profile(dpid))
            body = self.bodies[dpid, program.epoch] = TypeBody(dpid, program.epoch, block, None)
        body.users[program] = None
        self._groups.resume(attachment, program)
        self._note_member(dpid, program)
        # Not sent: a switch is compared with the desired rules when it connects.
        self._gatekeeper.set_members.join(dpid, program)
        return program

    def install(self, attachment: Attachment, program: Installation) -> None:
        """Install a program, and its type body if the switch does not have it; ``program.waiting`` has the tokens."""
        dpid = attachment.port.dpid
        self._pending.log(BodyStaging, attachment, rules=program.rules, epoch=program.epoch)
        body = self.bodies.get((dpid, program.epoch))
        if body is None:
            body = self._install_type(dpid, program)
        body.users[program] = None
        # A body that is still being staged for another VSI of the type is not sent again; both wait for it.
        if body.token is not None:
            program.waiting += (body.token,)
            step = self._pending.steps[body.token]
            assert isinstance(step, Staging)
            step.waiting.append((attachment, program))
        rules = self.own_rules(attachment.port, program)
        vsi_type, binding = program.vsi_type, program.binding
        # In one change, which writes meters first: a switch refuses a rule that names an unknown one.  And the meter of
        # a gate is shut before a rule leads through it.
        gate = self._gatekeeper.staged.meters(attachment, program)
        meters = (*gate, *meters_of_vsi(vsi_type, binding), *counters_of_vsi(vsi_type, binding))
        self.idle_meters.reuse(dpid, _own_meters(program))
        change = RuleChange(meters=meters, blocks=(RuleBlock(rules),))
        # A lane for each VSI: its own changes keep their order, and those of other VSIs may overtake a large body.
        token = self._pending.send(dpid, change, Mode.STAGE, program.binding.vsi_index)
        self._counters.staged(attachment, program)
        program.waiting += (token,)
        self._pending.steps[token] = Staging([(attachment, program)])
        self._groups.stage(attachment, program)
        self._bring_members(attachment, program)
        # Behind the body, so that the source is read while the destination stages.
        self._handover.prepare(attachment, program)

    def _bring_members(self, attachment: Attachment, program: Installation) -> None:
        """Bring the members of sets to a switch at which the program is the first to name them."""
        dpid = attachment.port.dpid
        change = self._gatekeeper.set_members.join(dpid, program)
        if not set_tests(program.vsi_type):
            return
        under_way = [token for token in self._bringing.get(dpid, ()) if token in self._pending.steps]
        if change and dpid in self._pending.up:
            # In the lane of the gates: a member that leaves meanwhile is removed behind it.
            token = self._pending.send(dpid, change, Mode.ATOMIC, GATE_LANE)
            self._pending.steps[token] = Staging([], of_others=True)
            under_way.append(token)
        # Those for the same sets are on their way for another program, maybe.
        for token in under_way:
            step = self._pending.steps[token]
            assert isinstance(step, Staging)
            step.waiting.append((attachment, program))
            program.waiting += (token,)
        self._bringing[dpid] = under_way

    def _install_type(self, dpid: int, program: Installation) -> TypeBody:
        block = self._epochs.block(program.vsi_type, self._gatekeeper.profile(dpid))
        token = self._pending.send(dpid, RuleChange(blocks=(block,)), Mode.STAGE, type_lane(program.epoch))
        body = self.bodies[dpid, program.epoch] = TypeBody(dpid, program.epoch, block, token)
        self._pending.steps[token] = Staging([], body)
        return body

    def remember_ended(self, on: bool) -> None:
        """Begin or end to note removed programs: only while switches may hold rules without a record."""
        # Rules of a program that this process has removed need no waiting for a claim (docs/decisions/0029).
        self._remembers_ended = on
        if not on:
            self.ended.clear()

    def delete_by_cookie(self, attachment: Attachment, program: Installation) -> None:
        """Remove a program, and its type body with the last program that uses it; releases the reservations."""
        dpid, binding = attachment.port.dpid, program.binding
        self._groups.withdraw(attachment, program)
        self._release(dpid, program)
        index = binding.vsi_index
        if self._remembers_ended:
            self.ended.add((index, binding.generation))
        owned = [owned_by(CookieKind.VSI_BODY, index, binding.generation)]
        # Learned rules are in no registry: only their cookie finds them.  State that a successor will read stays, and
        # its index with it, until :meth:`StateTransfer.drop_left`.
        left = attachment.vsi.left is not None and attachment.vsi.left.program is program
        if learnt_capacity(program.vsi_type) and not left:
            owned.append(owned_by(CookieKind.STATE, index, binding.generation))
        # Apart from the rules: a bundle deletes no meters.
        self.gate_meters.give_back(dpid, binding.gate_meter, self._pending.now)
        self.idle_meters.retire(dpid, (*_own_meters(program), *self._counters.retired(attachment, program)))
        change = RuleChange(delete_by_cookie=tuple(owned))
        self._send_sweep(attachment, change, index, index=None if left else index)
        self.shared.leave_body(attachment, program)

    def _release(self, dpid: int, program: Installation) -> None:
        """Release what a program has reserved, and what it has of sets."""
        binding = program.binding
        for there in (dpid, *self._gatekeeper.others(dpid)):
            self._ledger.release(there, ("vsi", binding.vsi_index))
        for vid in self._gatekeeper.floods.rooms.ended(dpid, binding):
            self._ledger.release(dpid, ("flood", vid))
        self._ledger.bandwidth.release(binding.vsi_index)
        self.shared.dismiss_members(dpid, program)

    def retire(self, attachment: Attachment, program: Installation) -> None:
        """Take out of the books what :meth:`resume` has taken up, for no switch: another bridge serves them."""
        dpid = attachment.port.dpid
        self._groups.retire(program)
        self._release(dpid, program)
        self.gate_meters.retire(dpid, program.binding.gate_meter)
        self.indices.give_back(program.binding.vsi_index)
        self.shared.leave_body(attachment, program)

    def _send_sweep(self, attachment: Attachment, change: RuleChange, lane: int, index: int | None = None) -> None:
        # Atomic: between two deletions, a learn action that is still there could learn a rule that is never deleted.
        learns = any(of_kind(CookieKind.STATE).covers(mask.cookie) for mask in change.delete_by_cookie)
        mode = Mode.ATOMIC if learns else Mode.BULK
        sent = self._pending.sweep(attachment.port.dpid, change, mode, lane, attachment, index)
        if not sent and index is not None:
            self.indices.give_back(index)


def _spent(shortage: SwitchResource | None) -> str | None:
    """Return the reason for a refusal, of a resource of which a switch has too little; None: it has enough of all."""
    if shortage is None:
        return None
    return f"{'the rule budget' if shortage == RULES else f'the budget of {shortage}'} of the switch is spent"


def _own_meters(program: Installation) -> tuple[int, ...]:
    """The rate limits of a program that no other VSI shares."""
    meters = meters_of_vsi(program.vsi_type, program.binding)
    return tuple(meter.meter_id for meter in meters if meter.meter_id >= FIRST_OF_VSIS)
