"""The rules that count: where they stand, what they leave alone, and that they let nothing through."""

from __future__ import annotations

import pytest

from ryu_apps.evb.flow.rule import FIRST_COUNTER
from ryu_apps.evb.model import Binding, VsiBinding
from ryu_apps.evb.pipeline.tables import MAX_SLOTS, Direction, Table, counter_id, parse_counter
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.services.body import SECTIONS, body_of_type, body_of_vsi, counters_of_vsi
from ryu_apps.evb.services.statistics.entries import entries
from ryu_apps.evb.services.statistics.schema import MAX_RULES
from tests.worlds.bridge import CLIENT, CLIENT_MAC, HV1, S1, Vm
from tests.worlds.counting import BY_NMS, PLAIN, POLICIES, RULES, SINGLE, CountingWorld, udp

BINDING = VsiBinding(7, 1, (Binding(100, 0x525400000007),))


def load(text: str) -> VsiType:
    head = "version: 1\nvsi_type: {type_id: 9, version: 1, name: some}\n"
    policies, found = load_policies([("some.yaml", head + text)], SECTIONS)
    assert policies is not None, found
    return next(iter(policies.types.values()))


def mistakes(text: str) -> list[str]:
    head = "version: 1\nvsi_type: {type_id: 9, version: 1, name: some}\n"
    return [str(policy) for policy in load_policies([("some.yaml", head + text)], SECTIONS)[1]]


def test_a_type_without_statistics_has_none_of_it() -> None:
    plain = load("to_vm: {default: allow}\n")
    rules = [*body_of_type(plain, 1), *body_of_vsi(plain, BINDING)]
    assert counters_of_vsi(plain, BINDING) == () and entries(plain) == ()
    assert not any(rule.meter or rule.table in (38, 39, 58, 59, 61) for rule in rules)
    assert not any(action for rule in rules for action in rule.apply)


@pytest.mark.parametrize("key", [PLAIN, RULES, BY_NMS, SINGLE])
def test_every_counter_has_one_rule_and_every_rule_its_counter(key: object) -> None:
    vsi_type = POLICIES.types[key]  # type: ignore[index]
    meters = [rule.meter for rule in body_of_vsi(vsi_type, BINDING) if rule.meter is not None]
    assert sorted(meters) == sorted(meter.meter_id for meter in counters_of_vsi(vsi_type, BINDING))
    assert len(set(meters)) == len(meters)


def test_the_number_of_a_rule_leads_back_to_its_line_and_its_description() -> None:
    known = {
        (entry.direction.name, entry.number): (entry.what.value, entry.passed, entry.description, entry.line)
        for entry in entries(POLICIES.types[RULES])
    }
    assert known == {
        ("FROM_VM", 0): ("unjudged", True, "announcements, group membership", 0),
        ("FROM_VM", 1): ("rule", True, "names", 7),
        ("FROM_VM", 2): ("rule", False, "no mail", 8),
        ("FROM_VM", 3): ("implied", True, "neighbour discovery", 0),
        ("FROM_VM", 4): ("default", True, "default", 0),
        ("FROM_VM", 1022): ("guarded", False, "guards", 0),
        ("TO_VM", 0): ("unjudged", True, "announcements, group membership", 0),
        ("TO_VM", 1): ("rule", True, "", 12),
        ("TO_VM", 2): ("rule", True, "the web", 13),
        ("TO_VM", 3): ("implied", True, "neighbour discovery", 0),
        ("TO_VM", 4): ("default", False, "default", 0),
    }


def test_a_description_is_no_part_of_the_meaning() -> None:
    one, other = (
        f"to_vm: {{rules: [{{rule: {{udp_dst: 53, actions: {{allow: 1}}{more}}}}}]}}\n"
        for more in ("", ", description: x")
    )
    assert load(one).digest == load(other).digest


@pytest.mark.parametrize("section", ["{per_rule: true}", "{extraction: nms}", "{trigger: single}"])
def test_what_is_counted_and_who_carries_it_is_part_of_the_meaning(section: str) -> None:
    assert load("statistics: {}\n").digest != load(f"statistics: {section}\n").digest


def test_mistakes_have_their_place() -> None:
    assert mistakes("statistics: {per_rules: true}\n") == [
        "some.yaml:3:14: unknown key 'per_rules' (did you mean 'per_rule'?)"
    ]
    (wrong,) = mistakes("statistics: {extraction: switch}\n")
    assert wrong.startswith("some.yaml:3:26: ")
    many = "".join(f"    - rule: {{udp_dst: {number}, actions: {{allow: 1}}}}\n" for number in range(1, MAX_RULES + 2))
    (wrong,) = mistakes(f"statistics: {{per_rule: true}}\nto_vm:\n  rules:\n{many}")
    assert wrong == f"some.yaml:3:24: {MAX_RULES + 1} rules, at most {MAX_RULES} can be counted one by one"
    assert mistakes(f"statistics: {{per_rule: false}}\nto_vm:\n  rules:\n{many}") == []


def test_the_longest_policy_that_can_be_counted_rule_by_rule_has_a_counter_for_each() -> None:
    many = "".join(f"    - rule: {{udp_dst: {number}, actions: {{allow: 1}}}}\n" for number in range(1, MAX_RULES + 1))
    vsi_type = load(f"statistics: {{per_rule: true}}\nto_vm:\n  rules:\n{many}")
    assert len({meter.meter_id for meter in counters_of_vsi(vsi_type, BINDING)}) == MAX_RULES + 7


def test_counters_of_all_vsis_are_apart_and_below_the_ids_that_openflow_keeps() -> None:
    highest = counter_id(MAX_SLOTS - 1, (1 << 20) - 1)
    assert parse_counter(highest) == (MAX_SLOTS - 1, (1 << 20) - 1)
    assert FIRST_COUNTER < highest < 0xFFFF0000
    assert parse_counter(7) is None
    with pytest.raises(ValueError, match="slot"):
        counter_id(MAX_SLOTS, 1)


# --- the data plane does not depend on being counted --------------------------------------------------
@pytest.mark.parametrize("key", [PLAIN, RULES])
def test_what_is_refused_stays_refused_whatever_becomes_of_the_rules_that_count(key: object) -> None:
    world = CountingWorld()
    world.connect()
    vm = Vm(7, type=key)  # type: ignore[arg-type]
    world.move(vm, HV1)
    mail = udp(vm.mac, CLIENT_MAC, 25, src_ip=int(vm.address))
    assert world.vm_sends(vm, HV1, mail) == 0
    table = world.tables[S1]
    counting = {name for name, rule in table.rules.items() if rule.meter is not None and rule.meter >= FIRST_COUNTER}
    for name in counting:
        del table.rules[name]
    assert world.vm_sends(vm, HV1, mail) == 0
    assert world.host_sends(CLIENT, udp(CLIENT_MAC, vm.mac, 25)) == 0


def test_a_frame_is_delivered_before_it_is_counted() -> None:
    (rule,) = [rule for rule in body_of_type(POLICIES.types[PLAIN], 1) if rule.table == Table.COUNT_TO]
    assert [action.table for action in rule.apply] == [Table.OUTPUT]  # type: ignore[union-attr]
    assert rule.goto == Table.COUNTED_TO
    assert rule.match[0].value >> 56 == Direction.TO_VM
