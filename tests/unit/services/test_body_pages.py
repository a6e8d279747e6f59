"""Pages of the bodies of types: what a switch is asked for, and told to delete, at a time."""

from __future__ import annotations

from collections import Counter

from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.flow.change import RuleBlock
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import PAGE_OF_BODY, CookieKind, cookie, parse_cookie
from ryu_apps.evb.policy.model import Acl, AclRule, PolicySet, VsiType
from ryu_apps.evb.services.body import body_of_type, pages
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, S1, Vm, World

EPOCH, RULES = 3, 3 * PAGE_OF_BODY
KEY = VsiTypeKey(9, 1)


def with_rules(count: int) -> VsiType:
    return VsiType(KEY, "web", Acl(()), Acl((AclRule(True, ()),) * count), digest=str(count))


def body(rules: int = RULES) -> RuleBlock:
    return body_of_type(with_rules(rules), EPOCH)


def test_no_cookie_has_more_rules_than_a_page() -> None:
    rules = body().rules
    per_cookie = Counter(rule.cookie for rule in rules)
    assert len(rules) > RULES
    assert max(per_cookie.values()) == PAGE_OF_BODY
    assert {owner and (owner.kind, owner.owner) for owner in map(parse_cookie, per_cookie)} == {
        (CookieKind.TYPE_BODY, EPOCH)
    }
    assert [rule.cookie for rule in rules] == sorted(rule.cookie for rule in rules)


def test_rules_of_the_first_page_have_the_cookie_of_the_type() -> None:
    assert {rule.cookie for rule in body(1)} == {cookie(CookieKind.TYPE_BODY, EPOCH)}


def test_pages_are_deleted_from_the_last_one_on_each_by_its_whole_cookie() -> None:
    block = body()
    masks = pages(block)
    assert [mask.cookie for mask in masks] == sorted({rule.cookie for rule in block}, reverse=True)
    assert all([other.cookie for other in masks if mask.covers(other.cookie)] == [mask.cookie] for mask in masks)


def test_last_user_of_a_long_body_has_it_deleted_page_by_page() -> None:
    world = World(policies=PolicySet({KEY: with_rules(RULES)}))
    world.connect()
    before = world.snapshot()
    mover = Vm(7, type=KEY)
    world.ask(HV1, mover, VdpMode.ASSOCIATE)
    held = RuleBlock(tuple(world.rules(S1, CookieKind.TYPE_BODY).values()))
    world.applied.clear()
    world.ask(HV1, mover, VdpMode.DEASSOCIATE)
    (swept,) = [apply for apply in world.applied if len(apply.change.delete_by_cookie) > 2]
    assert sorted(swept.change.delete_by_cookie) == sorted(pages(held))
    assert swept.mode is Mode.BULK
    assert world.snapshot() == before
