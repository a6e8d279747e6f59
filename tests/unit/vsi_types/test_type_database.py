"""VSI types that VSI managers have: asked for once, kept for a while, never changed under a VSI."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.events.other import PoliciesLoaded, TypeFetched
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import CookieKind
from ryu_apps.evb.policy.offer import NotFound, Unreachable
from ryu_apps.evb.record_kinds import VSI_TYPE
from ryu_apps.evb.vsi.records.attachment import RecordError
from ryu_apps.evb.vsi_types.cache import Cached, TypeCache, read_record
from ryu_apps.evb.vsi_types.database import CHECKING, MAX_FETCHES, MAX_MISTAKES, SHARE
from ryu_apps.evb.wire.vdp import ManagerId, VdpError, VdpMode
from tests.unit.vcm.test_move import gate_ports
from tests.worlds.bridge import HV1, HV2, HV3, POLICIES, S1, S2, Vm, open_type
from tests.worlds.managers import (
    ELSEWHERE,
    OTHER,
    REMOTE,
    SECOND,
    SOURCE,
    TYPE,
    URL,
    VM,
    ManagersWorld,
    offered,
    policy,
)

NEXT = VsiTypeKey(70, 2)
RWD = 1.31


@pytest.fixture
def world() -> ManagersWorld:
    world = ManagersWorld()
    world.connect()
    return world


@pytest.fixture
def active(world: ManagersWorld) -> ManagersWorld:
    """A VSI whose type came from the manager."""
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.serve()
    assert world.answer(HV1).success
    return world


def expire(world: ManagersWorld) -> None:
    """The lifetime of what is cached ends, the station keeps its VSIs meanwhile."""
    held = [(attachment.port, attachment.conversation.newest) for attachment in world.engine.registry.attachments()]
    for _ in range(int(SOURCE.lifetime)):
        world.advance(1.0)
        for port, newest in held:
            assert newest is not None
            world.send(port, newest)


# --- who is served from where ---
def test_request_waits_for_the_manager_and_is_then_served(world: ManagersWorld) -> None:
    assert world.ask(HV1, VM, VdpMode.ASSOCIATE) == []
    assert [(fetch.source, fetch.key, fetch.known) for fetch in world.fetching] == [(SOURCE, TYPE, None)]
    world.serve()
    assert world.answer(HV1).success
    assert gate_ports(world) == {HV1}


def test_others_are_served_meanwhile_and_keep_alives_too(world: ManagersWorld) -> None:
    world.manager_id = OTHER
    world.ask(HV2, Vm(9), VdpMode.ASSOCIATE)
    world.manager_id = REMOTE
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.manager_id = OTHER
    world.ask(HV2, Vm(9), VdpMode.ASSOCIATE)
    world.ask(HV3, Vm(10), VdpMode.ASSOCIATE)
    assert len(world.sent[HV2]) == 2 and world.answer(HV3).success
    assert HV1 not in world.sent


@pytest.mark.parametrize("manager", [OTHER, ManagerId(), ManagerId(b"nobody's".ljust(16, b"\0"))])
def test_local_and_unlisted_managers_have_the_local_directory(world: ManagersWorld, manager: ManagerId) -> None:
    world.manager_id = manager
    world.ask(HV1, Vm(7), VdpMode.ASSOCIATE)
    assert world.answer(HV1).success and not world.fetching


def test_type_of_the_local_directory_is_not_the_managers(world: ManagersWorld) -> None:
    world.ask(HV1, Vm(7), VdpMode.ASSOCIATE)
    world.serve()
    status = world.answer(HV1)
    assert (status.error, status.hard) == (VdpError.OTHER_FAILURE, True)


def test_refused_manager_is_told_so_for_good(world: ManagersWorld) -> None:
    world.manager_id = ELSEWHERE
    world.ask(HV1, Vm(7), VdpMode.ASSOCIATE)
    status = world.answer(HV1)
    assert (status.error, status.hard) == (VdpError.UNABLE_TO_CONTACT_VSI_MANAGER, True)


# --- when there is nothing to be had ---
def test_manager_out_of_reach_is_error_3(world: ManagersWorld) -> None:
    world.away = True
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.serve()
    status = world.answer(HV1)
    assert (status.error, status.hard, status.keep) == (VdpError.UNABLE_TO_CONTACT_VSI_MANAGER, False, False)
    assert world.kinds() == ["vsitype.unreachable"] and not list(world.engine.registry)


def test_manager_that_hangs_is_error_3_within_the_resource_wait_delay(world: ManagersWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.advance(RWD * SHARE * 0.95)
    assert HV1 not in world.sent
    world.advance(RWD * SHARE * 0.1)
    assert world.answer(HV1).error == VdpError.UNABLE_TO_CONTACT_VSI_MANAGER
    assert world.now < 1000 + RWD


def test_answer_that_comes_too_late_helps_the_next_one(world: ManagersWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.advance(RWD)
    world.serve()
    assert not gate_ports(world)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV1).success and world.asked == 1


def test_answer_that_takes_long_to_check_is_awaited(world: ManagersWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.advance(SOURCE.timeout + CHECKING / 2)
    world.serve()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV1).success and world.asked == 1


def test_question_that_is_never_answered_is_asked_again(world: ManagersWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    lost = world.fetching.pop()
    world.advance(SOURCE.timeout + CHECKING + 1)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert len(world.fetching) == 1
    world.feed(TypeFetched(lost.token, offered(port=1)))
    assert not world.engine.types.cache
    world.serve()
    assert world.answer(HV1).success


def test_unknown_type_is_refused_as_it_always_was(world: ManagersWorld) -> None:
    world.types.clear()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.serve()
    status = world.answer(HV1)
    assert (status.error, status.hard) == (VdpError.OTHER_FAILURE, True)


@pytest.mark.parametrize(
    ("data", "mistake"),
    [
        (policy().replace(b"tcp_dst", b"tcp_dest"), f"{URL}:5:14: unknown key 'tcp_dest'"),
        (policy(VsiTypeKey(71, 1)), f"{URL}:2:21: VSI type 71/1 in place of the requested 70/1"),
        (policy(VsiTypeKey(70, 9)), f"{URL}:2:34: VSI type 70/9 in place of the requested 70/1"),
        (policy() + b"\nx: \xff", f"{URL}:8:4: not UTF-8 text"),
        (b"", f"{URL}:1:1: file is empty"),
    ],
)
def test_faulty_policy_is_error_4_with_its_mistakes(world: ManagersWorld, data: bytes, mistake: str) -> None:
    world.types[TYPE] = data
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.serve()
    status = world.answer(HV1)
    assert (status.error, status.hard) == (VdpError.OTHER_FAILURE, False)
    (told,) = [event for event in world.happened if event.kind == "vsitype.faulty"]
    assert told.detail["url"] == URL
    assert any(str(text).startswith(mistake) for text in told.detail["mistakes"])  # type: ignore[attr-defined]


def test_change_that_cannot_be_had_leaves_the_vsi_as_it_was(active: ManagersWorld) -> None:
    before = active.snapshot()
    active.away = True
    active.ask(HV1, replace_type(VM, NEXT), VdpMode.ASSOCIATE)
    active.serve()
    status = active.answer(HV1)
    assert (status.error, status.keep) == (VdpError.UNABLE_TO_CONTACT_VSI_MANAGER, True)
    assert active.snapshot() == before


def replace_type(vm: Vm, key: VsiTypeKey) -> Vm:
    return replace(vm, type=key)


def test_policy_of_nothing_but_mistakes_tells_some_of_them(world: ManagersWorld) -> None:
    world.types[TYPE] = policy() + b"".join(b"key%d: 1\n" % number for number in range(1000))
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.serve()
    (told,) = [event for event in world.happened if event.kind == "vsitype.faulty"]
    mistakes = told.detail["mistakes"]
    assert isinstance(mistakes, list) and len(mistakes) == MAX_MISTAKES + 1
    assert mistakes[-1] == f"and {1000 - MAX_MISTAKES} more"


# --- one question ---
def test_many_that_want_the_same_type_are_one_question(world: ManagersWorld) -> None:
    for number, port in enumerate((HV1, HV2, HV3)):
        world.ask(port, Vm(20 + number, TYPE), VdpMode.ASSOCIATE)
    assert len(world.fetching) == 1
    world.serve()
    assert gate_ports(world) == {HV1, HV2, HV3}


def test_type_that_is_known_is_not_asked_for_within_its_lifetime(active: ManagersWorld) -> None:
    active.ask(HV2, SECOND, VdpMode.ASSOCIATE)
    assert active.answer(HV2).success and active.asked == 1


def test_questions_are_bounded(world: ManagersWorld) -> None:
    for number in range(MAX_FETCHES + 1):
        world.send(HV1, Vm(100 + number, VsiTypeKey(1000 + number, 1)).tlv(VdpMode.ASSOCIATE))
    assert len(world.fetching) == MAX_FETCHES
    world.advance(0.1)
    assert world.answer(HV1).error == VdpError.INSUFFICIENT_RESOURCES


def test_station_that_lets_go_meanwhile_is_done(world: ManagersWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    assert world.answer(HV1).success
    world.serve()
    assert not gate_ports(world) and not list(world.engine.registry)
    assert not world.rules(S1, CookieKind.VSI_BODY)


def test_newest_request_counts_when_the_type_comes(world: ManagersWorld) -> None:
    world.types[NEXT] = policy(NEXT)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV1, replace_type(VM, NEXT), VdpMode.ASSOCIATE)
    world.serve()
    (attachment,) = world.engine.registry.attachments()
    assert attachment.holding.program is not None and attachment.holding.program.vsi_type.key == NEXT
    assert len(world.sent[HV1]) == 1


def test_associate_that_was_asked_for_later_wins_whatever_comes_first(world: ManagersWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.manager_id = OTHER
    world.ask(HV3, Vm(7), VdpMode.ASSOCIATE, migrating=True)
    world.serve()
    assert gate_ports(world) == {HV3}


def test_other_manager_is_another_type(active: ManagersWorld) -> None:
    """The same numbers mean something else elsewhere."""
    local = open_type(TYPE)
    active.feed(PoliciesLoaded(replace(POLICIES, types={**POLICIES.types, TYPE: local})))
    active.manager_id = OTHER
    active.ask(HV1, VM, VdpMode.ASSOCIATE)
    (attachment,) = active.engine.registry.attachments()
    assert active.answer(HV1).success
    assert attachment.holding.program is not None and attachment.holding.program.vsi_type is local


# --- when the lifetime is over ---
def test_next_request_asks_whether_it_is_still_so(active: ManagersWorld) -> None:
    active.ask(HV1, VM, VdpMode.DEASSOCIATE)
    active.advance(SOURCE.lifetime + 1)
    active.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert [fetch.known is not None for fetch in active.fetching] == [True]
    active.serve()
    assert active.answer(HV1).success and active.count("unchanged") == 1
    active.ask(HV2, SECOND, VdpMode.ASSOCIATE)
    assert not active.fetching


def test_keep_alive_asks_nobody(active: ManagersWorld) -> None:
    expire(active)
    active.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert active.answer(HV1).success and not active.fetching


def test_policy_that_nobody_uses_is_replaced(active: ManagersWorld) -> None:
    active.ask(HV1, VM, VdpMode.DEASSOCIATE)
    active.types[TYPE] = policy(port=443)
    active.advance(SOURCE.lifetime + 1)
    active.ask(HV1, VM, VdpMode.ASSOCIATE)
    active.serve()
    (attachment,) = active.engine.registry.attachments()
    assert attachment.holding.program is not None and b"443" in attachment.holding.program.vsi_type.text.encode()
    assert active.kinds() == ["vsitype.fetched"] * 2


@pytest.mark.parametrize("now", [policy(port=443), None, b"nonsense"], ids=["changed", "withdrawn", "faulty"])
def test_policy_in_use_does_not_change_whatever_its_manager_says(active: ManagersWorld, now: bytes | None) -> None:
    expire(active)
    before = active.engine.types.cache.get(URL)
    rules = active.snapshot()
    active.types = {} if now is None else {TYPE: now}
    active.ask(HV2, SECOND, VdpMode.ASSOCIATE)
    assert active.answer(HV2).success, "what is in force needs no answer"
    active.serve()
    cached = active.engine.types.cache.get(URL)
    assert cached is before and cached is not None and cached.stale(active.now)
    assert active.kinds()[-1] == "vsitype.refused"
    active.ask(HV2, SECOND, VdpMode.DEASSOCIATE)
    assert active.snapshot() == rules


def test_policy_that_was_refused_may_come_when_nobody_uses_the_old_one(active: ManagersWorld) -> None:
    expire(active)
    active.types[TYPE] = policy(port=443)
    active.ask(HV2, SECOND, VdpMode.ASSOCIATE)
    active.serve()
    for port, vm in ((HV1, VM), (HV2, SECOND)):
        active.ask(port, vm, VdpMode.DEASSOCIATE)
    active.advance(SOURCE.lifetime + 1)
    active.ask(HV1, VM, VdpMode.ASSOCIATE)
    active.serve()
    cached = active.engine.types.cache.get(URL)
    assert cached is not None and "443" in cached.vsi_type.text and not cached.stale(active.now)


def test_manager_that_is_away_when_the_lifetime_is_over_serves_the_stale_one(active: ManagersWorld) -> None:
    active.ask(HV1, VM, VdpMode.DEASSOCIATE)
    active.advance(SOURCE.lifetime + 1)
    active.away = True
    active.ask(HV1, VM, VdpMode.ASSOCIATE)
    active.serve()
    assert active.answer(HV1).success
    cached = active.engine.types.cache.get(URL)
    assert cached is not None and cached.stale(active.now)
    assert active.happened[-1].kind != "vsitype.fetched" and active.kinds()[-1] == "vsitype.unreachable"


def test_manager_that_hangs_when_the_lifetime_is_over_serves_the_stale_one(active: ManagersWorld) -> None:
    active.ask(HV1, VM, VdpMode.DEASSOCIATE)
    active.advance(SOURCE.lifetime + 1)
    active.ask(HV1, VM, VdpMode.ASSOCIATE)
    active.advance(RWD * SHARE + 0.05)
    assert active.answer(HV1).success


def test_manager_that_is_away_is_not_asked_by_each_of_many(active: ManagersWorld) -> None:
    active.ask(HV1, VM, VdpMode.DEASSOCIATE)
    active.advance(SOURCE.lifetime + 1)
    active.away = True
    for number in range(5):
        active.ask(HV1, Vm(30 + number, TYPE), VdpMode.PREASSOCIATE)
        active.serve()
    assert active.count("unreachable") == 1


def test_associate_of_what_is_staged_waits_for_nobody(active: ManagersWorld) -> None:
    active.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    active.advance(0.5)
    active.engine.types.cache.get(URL).checked = None  # type: ignore[union-attr]
    active.ask(HV3, VM, VdpMode.ASSOCIATE)
    assert active.answer(HV3).success and gate_ports(active) == {HV3}


def test_reload_asks_managers_again(active: ManagersWorld) -> None:
    active.feed(PoliciesLoaded(active.engine.policies))
    active.ask(HV2, SECOND, VdpMode.ASSOCIATE)
    assert len(active.fetching) == 1


def test_type_of_a_manager_that_is_in_use_does_not_bind_the_local_directory(active: ManagersWorld) -> None:
    local = {**POLICIES.types, TYPE: open_type(TYPE)}
    active.feed(PoliciesLoaded(replace(POLICIES, types=local)))
    active.feed(PoliciesLoaded(POLICIES))
    assert active.engine.policies is POLICIES


# --- the controller restarts ---
def test_restart_with_the_manager_away_changes_no_rule(active: ManagersWorld) -> None:
    before = active.snapshot()
    active.away = True
    active.restart_controller()
    active.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert active.answer(HV1).success
    active.advance(1.0)
    active.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert active.snapshot() == before
    active.ask(HV2, SECOND, VdpMode.ASSOCIATE)
    assert active.answer(HV2).success, "known of old, and in use"


def test_reservation_survives_a_restart_with_the_manager_away(world: ManagersWorld) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE)
    world.serve()
    world.away = True
    world.restart_controller()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.serve()
    assert world.answer(HV1).success


def test_record_of_a_policy_is_written_with_the_grant_and_goes_with_the_last_vsi(active: ManagersWorld) -> None:
    assert VSI_TYPE.key(URL) in active.store
    active.ask(HV1, VM, VdpMode.DEASSOCIATE)
    active.advance(30.0)
    assert active.store == {}


def test_store_that_does_not_take_the_policy_does_not_take_the_grant(world: ManagersWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.store_failure = "disk full"
    world.serve()
    assert world.answer(HV1).error == VdpError.INSUFFICIENT_RESOURCES
    world.store_failure = None
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV1).success and VSI_TYPE.key(URL) in world.store


def test_policy_survives_a_manager_that_is_served_from_elsewhere_now(active: ManagersWorld) -> None:
    before = active.snapshot()
    active.managers = replace(active.managers, listed={REMOTE: replace(SOURCE, url="http://new.example/")})
    active.restart_controller()
    active.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert active.answer(HV1).success and active.snapshot() == before


def test_damaged_record_is_told_and_deleted(active: ManagersWorld) -> None:
    active.store[VSI_TYPE.key(URL)] = b"\x01"
    active.restart_controller()
    assert "vsitype.not_restored" in active.kinds()
    active.advance(60.0)
    assert VSI_TYPE.key(URL) not in active.store


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x96\x02\xa1u\x92\x01\x01\xc0\xc0\xa0", b"\xc1"])
def test_record_that_is_none_is_an_error(data: bytes) -> None:
    with pytest.raises(RecordError):
        read_record(data)


# --- bounds ---
def cached(number: int) -> Cached:
    offer = offered(VsiTypeKey(number, 1))
    return Cached(f"http://a/{number}", offer.vsi_type, offer.validators)  # type: ignore[union-attr]


def test_least_recently_used_type_goes_first_and_what_is_in_use_stays() -> None:
    cache = TypeCache(max_types=3)
    for number in (1, 2, 3):
        assert cache.put(cached(number), set())
    cache.get("http://a/2")
    assert cache.put(cached(4), {"http://a/1"})
    assert [known.url for known in cache] == ["http://a/1", "http://a/2", "http://a/4"]
    assert not cache.put(cached(5), {known.url for known in cache})
    assert len(cache) == 3


def test_cache_is_bounded_in_octets_too() -> None:
    size = len(policy(VsiTypeKey(1, 1)))
    cache = TypeCache(max_octets=2 * size)
    for number in range(5):
        cache.put(cached(number), set())
    assert [known.url for known in cache] == ["http://a/3", "http://a/4"]


def test_no_room_is_insufficient_resources(world: ManagersWorld) -> None:
    world.engine.types.cache.max_types = 0
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.serve()
    assert world.answer(HV1).error == VdpError.INSUFFICIENT_RESOURCES


def test_answers_that_nobody_waits_for_do_nothing(world: ManagersWorld) -> None:
    world.feed(TypeFetched(99, NotFound()))
    world.feed(TypeFetched(0, Unreachable("?")))
    assert world.kinds() == []
    assert world.snapshot()[S2]
