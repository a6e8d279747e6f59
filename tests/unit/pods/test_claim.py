"""The claim of a VSI: its table, each way through it, and drawn orders of claims of several pods."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_apps.evb.pods.claim import (
    MAX_ATTEMPTS,
    AskToShut,
    Claim,
    ClaimInput,
    ClaimOutput,
    ClaimState,
    Clear,
    GiveBack,
    LookUp,
    MakeFirm,
    OnUnreachable,
    Refusal,
    Refuse,
    Release,
    WriteClaim,
)
from ryu_apps.evb.pods.directory import DirectoryError, OvertakenError
from ryu_apps.evb.pods.owner import Owner
from tests.worlds.directory_model import DirectoryModel

A, B = Owner("a", 1, 1000), Owner("b", 7, 1001, ("a",))
#: The claim of B when no other gate is open.
FIRM = Owner("b", 7, 1001)


def claim(
    announced_at: int | None = 1000, free_hand: bool = False, rule: OnUnreachable = OnUnreachable.REFUSE
) -> Claim:
    made = Claim("b", 7, announced_at, free_hand, rule, 500)
    assert made.begin() == [LookUp()]
    return made


def asked(made: Claim) -> Claim:
    """A claim that has asked pod a to shut its gate."""
    assert made.found(A) == [WriteClaim(B, 1000)]
    assert made.written(ClaimInput.CONFIRMED) == [AskToShut("a", 1001)]
    return made


def test_vsi_of_this_pod_needs_no_claim() -> None:
    own = Owner("b", 3, 12)
    assert claim().found(own) == [Clear(own)]


def test_free_vsi_is_claimed_with_a_generation_of_the_clock() -> None:
    made = claim(announced_at=None)
    owner = Owner("b", 7, 500)
    assert made.found(None) == [WriteClaim(owner, 0)]
    assert made.written(ClaimInput.CONFIRMED) == [Clear(owner)]


def test_other_pod_shuts_its_gate_before_this_one_opens_its_own() -> None:
    made = asked(claim())
    assert made.state is ClaimState.SHUTTING
    assert made.shut(ClaimInput.SHUT) == [Clear(FIRM, ("a",)), MakeFirm(FIRM)]


@pytest.mark.parametrize("announced_at", [None, 999])
def test_vsi_of_another_pod_needs_an_announcement_to_its_present_owner(announced_at: int | None) -> None:
    assert claim(announced_at).found(A) == [Refuse(Refusal.CONTESTED, "a")]
    assert claim(announced_at, free_hand=True).found(A) == [WriteClaim(B, 1000)]


def test_unreachable_pod_keeps_the_vsi_by_the_rule_refuse() -> None:
    made = asked(claim())
    outputs = made.shut(ClaimInput.UNREACHABLE)
    assert outputs == [GiveBack(B, Owner("a", 0, 1002)), Refuse(Refusal.UNREACHABLE, "a")]


def test_unreachable_pod_loses_the_vsi_by_the_rule_take_once_the_claim_is_firm() -> None:
    made = asked(claim(rule=OnUnreachable.TAKE))
    firm = Owner("b", 7, 1002)
    assert made.shut(ClaimInput.UNREACHABLE) == [WriteClaim(firm, 1001)]
    assert made.written(ClaimInput.CONFIRMED) == [Clear(firm, ("a",), taken=True)]


@pytest.mark.parametrize("given", [ClaimInput.OVERTAKEN, ClaimInput.SILENT])
def test_nothing_is_taken_unless_the_firm_claim_is_there(given: ClaimInput) -> None:
    made = asked(claim(rule=OnUnreachable.TAKE))
    made.shut(ClaimInput.UNREACHABLE)
    outputs = made.written(given)
    assert made.state is ClaimState.ENDED
    assert not any(isinstance(output, Clear) for output in outputs)


def test_lost_answer_is_looked_up_and_the_other_pod_is_asked_all_the_same() -> None:
    made = claim()
    made.found(A)
    assert made.written(ClaimInput.SILENT) == [LookUp()]
    assert made.found(B) == [AskToShut("a", 1001)]


def test_overtaken_claim_wins_after_the_one_that_overtook_it() -> None:
    made = claim()
    made.found(A)
    assert made.written(ClaimInput.OVERTAKEN) == [LookUp()]
    assert made.found(Owner("c", 1, 1005)) == [WriteClaim(Owner("b", 7, 1006, ("c",)), 1005)]


def test_directory_that_does_not_answer_is_tried_some_times() -> None:
    made = claim()
    for _ in range(MAX_ATTEMPTS - 1):
        assert made.silent() == [LookUp()]
    assert made.silent() == [Refuse(Refusal.DIRECTORY)]


def test_own_claim_that_was_never_made_firm_has_the_former_pod_asked_again() -> None:
    made = claim(announced_at=None)
    again = Owner("b", 7, 1002, ("a",))
    assert made.found(Owner("b", 6, 1001, ("a",))) == [WriteClaim(again, 1001)]
    assert made.written(ClaimInput.CONFIRMED) == [AskToShut("a", 1002)]
    assert made.shut(ClaimInput.UNREACHABLE) == [
        GiveBack(again, Owner("a", 0, 1003)),
        Refuse(Refusal.UNREACHABLE, "a"),
    ]


def test_every_pod_of_a_chain_of_claims_is_asked() -> None:
    made = claim(1005)
    claimed = Owner("b", 7, 1006, ("a", "c"))
    assert made.found(Owner("c", 1, 1005, ("a", "b"))) == [WriteClaim(claimed, 1005)]
    assert made.written(ClaimInput.CONFIRMED) == [AskToShut("a", 1006)]
    assert made.shut(ClaimInput.SHUT) == [AskToShut("c", 1006)]
    firm = claimed._replace(former=())
    assert made.shut(ClaimInput.SHUT) == [Clear(firm, ("a", "c")), MakeFirm(firm)]


def test_claim_of_a_claim_is_given_back_to_the_latest_pod_which_keeps_its_doubts() -> None:
    made = claim(1005)
    made.found(Owner("c", 1, 1005, ("a",)))
    made.written(ClaimInput.CONFIRMED)
    outputs = made.shut(ClaimInput.UNREACHABLE)
    claimed = Owner("b", 7, 1006, ("a", "c"))
    assert outputs == [GiveBack(claimed, Owner("c", 0, 1007, ("a",))), Refuse(Refusal.UNREACHABLE, "a")]


def test_superseded_claim_is_refused() -> None:
    assert asked(claim()).shut(ClaimInput.SUPERSEDED) == [Refuse(Refusal.OVERTAKEN)]


def test_claim_that_is_called_off_opens_nothing() -> None:
    early, late, doubtful = claim(), asked(claim()), claim()
    early.called_off = late.called_off = True
    assert early.found(A) == [] and early.state is ClaimState.ENDED
    assert late.shut(ClaimInput.SHUT) == [Release(B)]
    doubtful.found(A)
    doubtful.called_off = True
    assert doubtful.written(ClaimInput.CONFIRMED) == [AskToShut("a", 1001)]


def test_every_state_has_a_row_for_each_answer_it_waits_for() -> None:
    answers = {
        ClaimState.LOOKING_UP: {
            *(ClaimInput.OWN, ClaimInput.OWN_IN_DOUBT, ClaimInput.FREE, ClaimInput.ELSEWHERE),
            *(ClaimInput.UNANNOUNCED, ClaimInput.CONFIRMED),
            *(ClaimInput.CONFIRMED_FROM, ClaimInput.SILENT, ClaimInput.EXHAUSTED, ClaimInput.CALLED_OFF),
        },
        ClaimState.CLAIMING: {
            *(ClaimInput.CONFIRMED, ClaimInput.CONFIRMED_FROM, ClaimInput.OVERTAKEN),
            *(ClaimInput.SILENT, ClaimInput.EXHAUSTED),
        },
        ClaimState.SHUTTING: {
            *(ClaimInput.SHUT, ClaimInput.SHUT_BY_ONE, ClaimInput.SUPERSEDED),
            *(ClaimInput.UNREACHABLE, ClaimInput.UNREACHABLE_TAKE),
        },
        ClaimState.TAKING: {ClaimInput.CONFIRMED, ClaimInput.OVERTAKEN, ClaimInput.SILENT},
    }
    for state, inputs in answers.items():
        assert {answer for answer in ClaimInput if (state, answer) in Claim.TABLE} == inputs


# --- several pods ---------------------------------------------------------------------------------
class Pod:
    """A pod whose gate is open or not; it answers requests to shut it."""

    def __init__(self, name: str, directory: DirectoryModel) -> None:
        self.name = name
        self.directory = directory
        self.gate: Owner | None = None
        self.claim: Claim | None = None
        self.waiting: list[ClaimOutput] = []
        self.superseded = 0
        directory.begin_life(name, 1, lambda error: None)

    def associate(self) -> None:
        if self.claim is None and self.gate is None:
            self.superseded = 0
            self.claim = Claim(self.name, 1, -1, False, OnUnreachable.REFUSE, 0)
            self.waiting = self.claim.begin()

    def asked_to_shut(self, generation: int) -> ClaimInput:
        if self.gate is not None and self.gate.generation >= generation:
            return ClaimInput.SUPERSEDED
        self.gate = None
        if self.claim is not None:
            self.claim.called_off = True
            self.superseded = generation
        return ClaimInput.SHUT

    def step(self, pods: dict[str, Pod], losses: set[str]) -> None:
        """Carry out one output, with its answer."""
        if not self.waiting or self.claim is None:
            return
        output = self.waiting.pop(0)
        self.directory.away = "directory" in losses
        self.directory.lost = "answer" in losses
        try:
            self._perform(output, self.claim, pods, losses)
        finally:
            self.directory.away = self.directory.lost = False
        if self.claim.state in (ClaimState.CLEARED, ClaimState.ENDED) and not self.waiting:
            self.claim = None

    def _perform(self, output: ClaimOutput, claim: Claim, pods: dict[str, Pod], losses: set[str]) -> None:
        match output:
            case LookUp():
                self.directory.find("v", lambda owner: self.waiting.extend(_found(claim, owner)))
            case WriteClaim(owner, expected):
                self.directory.claim("v", owner, expected, lambda error: self.waiting.extend(_written(claim, error)))
            case AskToShut(pod, generation):
                reached = "pod" not in losses
                answer = pods[pod].asked_to_shut(generation) if reached else ClaimInput.UNREACHABLE
                answer = ClaimInput.UNREACHABLE if "answer" in losses else answer
                self.waiting.extend(claim.shut(answer))
            case Clear(owner):
                self.gate = owner if owner.generation > self.superseded else None
            case Release(owner):
                self.directory.release("v", owner, lambda error: None)
            case GiveBack(claimed, owner):
                self.directory.give_back("v", claimed, owner, lambda error: None)
            case MakeFirm(owner):
                self.directory.claim("v", owner, owner.generation, lambda error: None)


def _found(claim: Claim, owner: Owner | DirectoryError | None) -> list[ClaimOutput]:
    return claim.silent() if isinstance(owner, DirectoryError) else claim.found(owner)


def _written(claim: Claim, error: DirectoryError | None) -> list[ClaimOutput]:
    if error is None:
        return claim.written(ClaimInput.CONFIRMED)
    return claim.written(ClaimInput.OVERTAKEN if isinstance(error, OvertakenError) else ClaimInput.SILENT)


LOSSES = st.sets(st.sampled_from(["directory", "answer", "pod"]), max_size=1)
Step = tuple[str, str, set[str]]
STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["associate", "step", "step"]), LOSSES), max_size=60)


@settings(deadline=None, max_examples=200)
@given(STEPS)
def test_one_pod_at_most_has_the_gate_open_in_any_order_and_with_any_loss(steps: list[Step]) -> None:
    directory = DirectoryModel()
    pods = {name: Pod(name, directory) for name in "abc"}
    generations: list[int] = []
    for name, kind, losses in steps:
        before = {name for name, pod in pods.items() if pod.gate}
        pods[name].associate() if kind == "associate" else pods[name].step(pods, losses)
        gates = [pod.gate for pod in pods.values() if pod.gate is not None]
        assert len(gates) <= 1
        if {name for name, pod in pods.items() if pod.gate} - before:
            generations.append(gates[0].generation)
    # The directory orders them: who opens later has claimed later.
    assert all(earlier < later for earlier, later in pairwise(generations))
