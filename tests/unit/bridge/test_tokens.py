"""Token table and sink of effects: each answer reaches the component that asked, once, and effects keep their order."""

from __future__ import annotations

from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.bridge import StoreFailed, StoreWorks
from ryu_apps.evb.events.effect import Effect, ReadRules
from ryu_apps.evb.pipeline.tables import OURS
from ryu_apps.evb.tokens import TokenOwner, TokenTable
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, HV2, S1, S2, Vm, World


class Asking(TokenOwner):
    """Owner that records its answers."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, int]] = []

    def confirmed(self, dpid: int, token: int, now: float) -> None:
        self.answers.append(("confirmed", token))

    def rejected(self, dpid: int, token: int, reason: str, now: float) -> None:
        self.answers.append((reason, token))

    def saved(self, token: int, failure: str | None, now: float) -> None:
        self.answers.append((failure or "saved", token))


def test_an_answer_reaches_the_owner_of_its_token_and_no_other() -> None:
    tokens, first, second = TokenTable(), Asking(), Asking()
    mine, yours, stored = tokens.take(first), tokens.take(second), tokens.take(first)
    tokens.reject(S1, yours, "table full", 0.0)
    tokens.confirm(S1, mine, 0.0)
    tokens.saved(stored, "disk full", 0.0)
    assert first.answers == [("confirmed", mine), ("disk full", stored)]
    assert second.answers == [("table full", yours)]
    assert len(tokens) == 0


def test_an_answer_without_an_owner_or_for_the_second_time_goes_to_the_rest() -> None:
    tokens, owner, rest = TokenTable(), Asking(), Asking()
    tokens.otherwise = rest
    owned, free, returned = tokens.take(owner), tokens.take(), tokens.take(owner)
    tokens.give_back(returned)
    for token in (owned, owned, free, returned):
        tokens.confirm(S1, token, 0.0)
    assert owner.answers == [("confirmed", owned)]
    assert rest.answers == [("confirmed", token) for token in (owned, free, returned)]


def test_no_two_effects_have_the_same_token() -> None:
    tokens, owner = TokenTable(), Asking()
    assert len({tokens.take(owner) for _ in range(100)} | {tokens.take() for _ in range(100)}) == 200


def test_a_sink_shows_each_effect_before_the_next_and_keeps_their_order() -> None:
    seen: list[Effect] = []

    def passing(effect: Effect) -> Effect:
        seen.append(effect)
        return StoreWorks() if effect == StoreFailed("hidden") else effect

    sink = EffectSink(passing)
    effects: list[Effect] = [StoreFailed("first"), ReadRules(S1, 1, OURS), StoreFailed("hidden")]
    for effect in effects:
        sink.put(effect)
    assert seen == effects
    assert sink.take() == [*effects[:2], StoreWorks()]
    assert sink.take() == []


def test_when_all_is_settled_no_token_is_awaited() -> None:
    """The table holds nothing for switches that left without an answer, nor for questions that are out of date."""
    world = World()
    world.connect()
    for _ in range(3):
        world.ask(HV1, Vm(1), VdpMode.PREASSOCIATE_RR)
        world.ask(HV2, Vm(1), VdpMode.PREASSOCIATE_RR)
        world.ask(HV2, Vm(1), VdpMode.ASSOCIATE)
        world.hold.add(S2)
        world.ask(HV1, Vm(1), VdpMode.ASSOCIATE)
        world.disconnect(S2)
        world.release()
        world.connect(S2)
        world.advance(31.0)
    world.advance(60.0)
    assert len(world.engine.registry) == 0
    assert len(world.engine.tokens) == 0
