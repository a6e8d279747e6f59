"""Any answers of a VSI manager, in any order, with any failures.

Every request is answered in time, what is in use does not change, and a restart changes no rule.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ryu_apps.evb.events.other import TypeFetched
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.offer import Invalid, NotFound, NotModified, Offer, Unreachable, Validators, read_offer
from ryu_apps.evb.record_kinds import VSI_TYPE
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.evb.wire.status import ResponseStatus
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, HV2, HV3, OPEN, Vm
from tests.worlds.draws import drawn
from tests.worlds.managers import OTHER, REMOTE, SOURCE, ManagersWorld, policy

TYPES = (VsiTypeKey(70, 1), VsiTypeKey(70, 2), OPEN)
PORTS = (HV1, HV2, HV3)
ASKING = (VdpMode.PREASSOCIATE, VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE)
#: The resource wait delay, and what a station grants beside it.
PATIENCE = 1.4


class Managers(RuleBasedStateMachine):
    """A manager with moods, three stations, a controller that dies, a store that sulks."""

    def __init__(self) -> None:
        super().__init__()
        self.world = ManagersWorld()
        self.in_force: dict[tuple[int, int], str] = {}

    @initialize()
    def connect(self) -> None:
        self.world.connect()

    @rule(
        port=st.sampled_from(PORTS),
        number=st.integers(1, 3),
        key=st.sampled_from(TYPES),
        mode=st.sampled_from(ASKING),
        manager=st.sampled_from((REMOTE, REMOTE, OTHER)),
    )
    def ask(self, port: Any, number: int, key: VsiTypeKey, mode: VdpMode, manager: Any) -> None:
        vm = Vm(number, key)
        self.world.manager_id = manager
        self.world.ask(port, vm, mode)
        self._served(port, vm)

    @rule(port=st.sampled_from(PORTS), number=st.integers(1, 3), key=st.sampled_from(TYPES))
    def let_go(self, port: Any, number: int, key: VsiTypeKey) -> None:
        self.world.ask(port, Vm(number, key), VdpMode.DEASSOCIATE)

    @precondition(lambda self: self.world.fetching)
    @rule(
        which=st.integers(0, 5),
        mood=st.sampled_from(("good", "good", "other", "unchanged", "missing", "faulty", "away", "never")),
        twice=st.booleans(),
    )
    def answer(self, which: int, mood: str, twice: bool) -> None:
        wanted = self.world.fetching.pop(which % len(self.world.fetching))
        if mood == "never":
            return
        for _ in range(1 + twice):
            self.world.feed(TypeFetched(wanted.token, offer_of(mood, wanted.key)))

    @rule(seconds=st.sampled_from((0.05, 0.4, 1.0, 400.0)))
    def pass_time(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule()
    def restart(self) -> None:
        before = self.world.snapshot()
        asked = any(attachment.machine.wanted is not None for attachment in self.world.engine.registry.attachments())
        self.world.restart_controller()
        if not asked and self.world.store_failure is None:
            assert self.world.snapshot() == before

    @rule(sulks=st.booleans())
    def store(self, sulks: bool) -> None:
        self.world.store_failure = "disk full" if sulks else None

    @invariant()
    def nobody_waits_longer_than_the_resource_wait_delay(self) -> None:
        for attachment in self.world.engine.registry.attachments():
            if attachment.machine.wanted is not None and attachment.machine.state.value == "deciding":
                assert attachment.machine.deadline is not None
                assert attachment.machine.deadline - self.world.now <= PATIENCE
                assert attachment.machine.deadline >= self.world.now

    @invariant()
    def content_in_use_is_what_it_was(self) -> None:
        programs = {
            (program.binding.vsi_index, program.binding.generation): program.vsi_type
            for attachment in self.world.engine.registry.attachments()
            for program in (attachment.holding.program, *attachment.holding.retired)
            if program is not None
        }
        for vsi_type in programs.values():
            cached = self.world.engine.types.cache.get(vsi_type.file)
            assert cached is None or cached.vsi_type.digest == vsi_type.digest
        digests = {place: vsi_type.digest for place, vsi_type in programs.items()}
        for place, digest in digests.items():
            assert self.in_force.get(place, digest) == digest
        self.in_force = digests

    @invariant()
    def every_granted_policy_is_in_the_store(self) -> None:
        held = {
            program.vsi_type.file
            for attachment in self.world.engine.registry.attachments()
            if attachment.machine.in_force is not None and (program := attachment.vsi.gate_program) is not None
            if self.world.engine.types.cache.get(program.vsi_type.file) is not None
        }
        assert {VSI_TYPE.key(url) for url in held} <= self.world.store.keys()

    @invariant()
    def no_question_is_asked_twice_at_a_time(self) -> None:
        urls = [fetch.source.of(fetch.key) for fetch in self.world.engine.types._pending.values()]
        assert len(urls) == len(set(urls))

    def teardown(self) -> None:
        self.world.store_failure = None
        self.world.fetching.clear()
        self.world.advance(200.0)
        assert not list(self.world.engine.registry)
        assert self.world.store == {}

    def _served(self, port: Any, vm: Vm) -> None:
        for answer in self.world.sent.get(port, []):
            assert isinstance(answer.status, ResponseStatus) or answer.MODE is VdpMode.DEASSOCIATE


def offer_of(mood: str, key: VsiTypeKey) -> Offer:
    """Offer of a manager in a state."""
    url = SOURCE.of(key)
    match mood:
        case "good":
            return read_offer(url, key, policy(key), Validators('"1"'), SECTIONS)
        case "other":
            return read_offer(url, key, policy(key, port=443), Validators('"2"'), SECTIONS)
        case "faulty":
            offer = read_offer(url, key, b"nonsense", Validators(), SECTIONS)
            assert isinstance(offer, Invalid)
            return offer
        case "unchanged":
            return NotModified()
        case "missing":
            return NotFound()
    return Unreachable("connection refused")


def test_any_order_of_answers_failures_and_restarts() -> None:
    run_state_machine_as_test(Managers, settings=drawn(25, steps=30))
