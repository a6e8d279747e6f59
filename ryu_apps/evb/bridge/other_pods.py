"""VSIs that come from other pods and go there: claims, state that is fetched, and requests to hand a VSI over.

Only what concerns the bridge's own VSIs is here.  The claim itself is a table of its own
(:mod:`ryu_apps.evb.pods.claim`), whose outside asks the directory and the other pod.
"""

from __future__ import annotations

from typing import NamedTuple

import msgpack

from ryu_apps.evb.bridge.requests import Associations
from ryu_apps.evb.bridge.state_exports import StateExports
from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.pods import VsiHandedOver, VsiTaken
from ryu_apps.evb.event_catalogue.vsis import StateLost, VsiGone
from ryu_apps.evb.events.effect import CallOffClaim, ClaimVsi, FetchState, ReleaseClaim
from ryu_apps.evb.events.other import HandOver, StateFetched, StateWanted, VsiCleared
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import Direction
from ryu_apps.evb.pods.state_document import VsiState
from ryu_apps.evb.protocol.vdp_bridge import ELSEWHERE
from ryu_apps.evb.protocol.vdp_bridge import VsiState as VdpState
from ryu_apps.evb.services.body import carried_state, multicast_of
from ryu_apps.evb.services.learnable import LearnableState
from ryu_apps.evb.snooping.listener import MembershipTable
from ryu_apps.evb.snooping.memory import unpack
from ryu_apps.evb.tokens import TokenOwner, TokenTable
from ryu_apps.evb.vsi.lifecycle import Lifecycle
from ryu_apps.evb.vsi.registry import Attachment, Registry
from ryu_apps.evb.vsi.statistics.totals import CounterValue
from ryu_apps.evb.wire.vdp import VdpMode

#: VSIs that were handed over whose switch is remembered.
_MOST_HOMES = 4096


class _Claim(NamedTuple):
    attachment: Attachment
    attempt: int


class OtherPods(TokenOwner):
    """The border to other pods; a bridge without pods has none.

    Attributes:
        exports: state that other pods have asked for.
    """

    def __init__(
        self,
        registry: Registry,
        lifecycle: Lifecycle,
        associations: Associations,
        tokens: TokenTable,
        effects: EffectSink,
        alone: bool,
    ) -> None:
        """
        Args:
            alone: there are no other pods.
        """
        self.exports = StateExports(registry, lifecycle)
        self._registry = registry
        self._lifecycle = lifecycle
        self._associations = associations
        self._tokens = tokens
        self._effects = effects
        self._alone = alone
        self._claims: dict[int, _Claim] = {}
        self._cleared: dict[Attachment, int] = {}
        self._fetching: dict[int, tuple[Attachment, bool]] = {}
        #: VSIs whose state came from another pod when they were staged, or whose gate was shut there.
        self._from_there: set[str] = set()
        self._homes: dict[str, int] = {}
        self._leaving: dict[int, str] = {}
        if not alone:
            lifecycle.activation.is_clear = self._is_clear
            lifecycle.refusals.called_off = self._call_off
            lifecycle.state.fetch = self._fetch

    # --- claims ---
    def _is_clear(self, attachment: Attachment) -> bool:
        """Return True if no other pod has the gate of a VSI open; else begin to find that out."""
        attempt = attachment.machine.attempt
        if self._cleared.pop(attachment, None) == attempt:
            return True
        self._call_off(attachment)
        announced = attachment.conversation.announced_to if self._associations.is_announced(attachment) else None
        token = self._tokens.take()
        self._claims[token] = _Claim(attachment, attempt)
        free_hand = self._associations.needs_no_announcement(attachment)
        self._effects.put(ClaimVsi(token, attachment.text, announced, free_hand))
        return False

    def _call_off(self, attachment: Attachment) -> None:
        self._cleared.pop(attachment, None)
        for token in [token for token, claim in self._claims.items() if claim.attachment is attachment]:
            del self._claims[token]
            self._effects.put(CallOffClaim(token))

    def cleared(self, event: VsiCleared, now: float) -> None:
        """Open the gate of an Associate whose VSI no other pod has any more, or refuse it."""
        claim = self._claims.pop(event.token, None)
        if claim is None:
            return
        attachment, attempt = claim
        if event.refusal is None:
            self._cleared[attachment] = attempt
            if event.pod:
                self._from_there.add(attachment.text)
        if event.taken:
            self._effects.put(attachment.log_event(VsiTaken, event.pod))
        self._lifecycle.activation.cleared(attachment, attempt, event.refusal)
        if self._cleared.pop(attachment, None) is not None and attachment.vsi.owner is None:
            self._effects.put(ReleaseClaim(attachment.text))
        self._associations.proceed(now)

    # --- state from there ---
    def _fetch(self, attachment: Attachment, final: bool) -> int | None:
        if attachment.vsi.owner not in (None, attachment) or (final and attachment.text not in self._from_there):
            return None
        self._from_there.discard(attachment.text)
        token = self._tokens.take()
        self._fetching[token] = attachment, final
        self._effects.put(FetchState(token, attachment.text, final))
        return token

    def fetched(self, event: StateFetched, now: float) -> None:
        """Stage or fix up what another pod has shown."""
        attachment, final = self._fetching.pop(event.token)
        if attachment.present:
            if event.owner is not None:
                attachment.conversation.announced_to = event.owner
            if event.failure is not None:
                self._effects.put(attachment.log_event(StateLost, event.failure))
            if event.state is not None:
                self._from_there |= set() if final else {attachment.text}
                self._take(attachment, event.state, final, now)
        # A VSI that has no state elsewhere has none to carry; after its gate is open, what is staged stays.
        nothing = None if final or event.failure is not None else ()
        rules = nothing if event.state is None else self._learnable(attachment, event.state)
        self._lifecycle.answers.state_fetched(event.token, rules)
        self._associations.proceed(now)

    def _learnable(self, attachment: Attachment, state: VsiState) -> tuple[Rule, ...]:
        """Rules that a switch could have learned for the VSI by itself: no pod opens more than the policy here does."""
        program = attachment.holding.program
        if program is None:
            return ()
        found = carried_state(program.vsi_type, state.rules, program.binding)
        learnable = LearnableState(program.vsi_type, program.binding)
        kept = tuple(rule for rule in found if rule in learnable)
        if strange := len(found) - len(kept):
            reason = f"{strange} rules that no switch learns for VSI type {program.vsi_type.key}"
            self._effects.put(attachment.log_event(StateLost, reason))
        return kept

    def _take(self, attachment: Attachment, state: VsiState, final: bool, now: float) -> None:
        """Take memberships and totals; the rules have a way of their own."""
        vsi, program = attachment.vsi, attachment.holding.program
        multicast = None if program is None else multicast_of(program.vsi_type, program.binding.bindings)
        if state.memberships and multicast is not None and program is not None:
            brought = MembershipTable()
            try:
                unpack(brought, state.memberships, now)
                vsi.listener.adopt(brought.memberships, program.binding.bindings, multicast)
            except (ValueError, TypeError, msgpack.UnpackException) as error:
                self._effects.put(attachment.log_event(StateLost, f"memberships: {error}"))
            self._lifecycle.groups.refresh(vsi)
        if final and state.totals is not None:
            from_vm, to_vm = (CounterValue(*count) for count in state.totals)
            self._lifecycle.counters.populate(vsi, {Direction.FROM_VM: from_vm, Direction.TO_VM: to_vm})

    # --- to there ---
    def wanted(self, event: StateWanted) -> None:
        """Read the state of a VSI for another pod."""
        self.exports.wanted(event.vsi)

    def hand_over(self, event: HandOver, now: float) -> None:
        """Take a VSI off every port where it is active, or about to be; what is only staged stays."""
        vsi = self._registry.named(event.vsi)
        there = [] if vsi is None else list(vsi.attachments.values())
        # The port at which the gate is being opened first: the former one gets it back, and loses it in its turn.
        for attachment in sorted(there, key=lambda attachment: attachment is not attachment.vsi.owner):
            machine = attachment.machine
            asks = machine.state is VdpState.DECIDING and machine.wanted is VdpMode.ASSOCIATE
            if attachment is attachment.vsi.owner or asks:
                self.exports.expect(event.vsi)
                self._effects.put(attachment.log_event(VsiHandedOver, event.pod))
                self._note_home(attachment)
                self._associations.end(attachment, ELSEWHERE, now)
                # A restart must not open it again, however long its rules take to go.
                self._leaving[self._lifecycle.grants.record_left(attachment, self)] = event.vsi

    def _note_home(self, attachment: Attachment) -> None:
        self._homes.pop(attachment.text, None)
        self._homes[attachment.text] = attachment.port.dpid
        if len(self._homes) > _MOST_HOMES:
            del self._homes[next(iter(self._homes))]

    def saved(self, token: int, failure: str | None, now: float) -> None:
        """Note that the store knows that a VSI has left; what it failed to write is deleted with the rest."""
        self._leaving.pop(token, None)

    def home(self, vsi: str) -> int | None:
        """Datapath id of the switch at which a VSI was that was handed over; None: not known."""
        return self._homes.get(vsi)

    def is_leaving(self, vsi: str) -> bool:
        """True while the store may bring a VSI back that was handed over."""
        return vsi in self._leaving.values()

    def gone(self, happened: VsiGone) -> None:
        """Release the claim of a VSI that has gone."""
        if not self._alone:
            vsi = self._registry.named(happened.vsi)
            if vsi is None or vsi.owner is None:
                self._from_there.discard(happened.vsi)
                self._effects.put(ReleaseClaim(happened.vsi))
