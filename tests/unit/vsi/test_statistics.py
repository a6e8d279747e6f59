"""Frames sent and received by a VM at any port, compared with the counters of its own interface."""

from __future__ import annotations

import pytest

from ryu_apps.evb.flow.change import FlowTable
from ryu_apps.evb.flow.rule import FIRST_COUNTER
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.idle_meters import LINGER
from ryu_apps.evb.vsi.late_switches import PATIENCE
from ryu_apps.evb.vsi.statistics.totals import CounterValue
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import CLIENT, CLIENT_MAC, HV1, HV2, HV3, NMS_MAC, S1, S2, SELDOM, Vm
from tests.worlds.counting import BY_NMS, FIRST, FROM, GROUPS, PLAIN, RULES, RULES_2, SINGLE, TO, CountingWorld, udp

VM = Vm(7, type=PLAIN)


@pytest.fixture
def world() -> CountingWorld:
    world = CountingWorld()
    world.connect()
    return world


def counters(world: CountingWorld, dpid: int) -> set[int]:
    return {meter for meter in world.tables[dpid].meters if meter >= FIRST_COUNTER}


def exact(world: CountingWorld, vm: Vm) -> None:
    interface = world.interface(vm)
    assert world.totals(vm) == (interface.tx, interface.rx)


@pytest.mark.parametrize("key", [PLAIN, RULES])
def test_totals_are_what_the_vm_itself_counts(world: CountingWorld, key: object) -> None:
    vm = Vm(7, type=key)
    world.move(vm, HV1)
    world.exchange_traffic(vm, HV1, 3)
    world.read()
    exact(world, vm)
    assert world.interface(vm).rx.packets == 3 * (2 + 2 + 2)


def test_nothing_is_counted_before_the_gate_opens(world: CountingWorld) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    assert world.vm_sends(VM, HV1, udp(VM.mac, CLIENT_MAC, src_ip=int(VM.address))) == 0
    world.read()
    assert world.totals(VM) == (CounterValue(), CounterValue())


@pytest.mark.parametrize("target", [HV2, HV3])
@pytest.mark.parametrize("key", [PLAIN, RULES, SINGLE])
def test_totals_go_on_at_the_destination(world: CountingWorld, target: PortId, key: object) -> None:
    vm = Vm(7, type=key)
    world.move(vm, HV1)
    world.exchange_traffic(vm, HV1, 5)
    world.move(vm, target)
    world.exchange_traffic(vm, target, 7)
    world.read()
    exact(world, vm)


def test_totals_never_fall_and_are_read_at_once_when_the_vsi_moves(world: CountingWorld) -> None:
    world.move(VM, HV1)
    world.exchange_traffic(VM, HV1, 5)
    before = world.interface(VM).rx
    world.move(VM, HV3)
    assert world.account(VM).total(TO) == before
    world.exchange_traffic(VM, HV3, 1)
    world.read()
    exact(world, VM)


def test_what_went_by_after_the_switch_had_confirmed_is_counted(world: CountingWorld) -> None:
    world.move(VM, HV1)
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    world.hold.add(S1)
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    world.release()
    cached = min(counters(world, S1))
    for _ in range(2):
        world.gauges[S1][cached].packets += 4
        # The first time that all counters are read may be right after the move: it is not the last time.
        seen = world.account(VM).read
        while world.account(VM).read == seen:
            world.advance(0.1)
    world.read()
    assert world.account(VM).total(FROM).packets == 8


def test_ping_pong_counts_everything_once(world: CountingWorld) -> None:
    world.move(VM, HV1)
    for target in (HV3, HV1, HV2, HV3, HV2, HV1) * 3:
        world.exchange_traffic(VM, world.places(VM)[0])
        world.move(VM, target)
        world.advance(SELDOM)
    world.read()
    exact(world, VM)
    assert len(world.account(VM).tallies) == 1


def test_counters_go_when_they_have_been_read_to_the_end(world: CountingWorld) -> None:
    world.move(VM, HV1)
    first = counters(world, S1)
    world.move(VM, HV3)
    assert counters(world, S1) == first, "what is cached is still counted"
    world.read()
    assert not counters(world, S1) and len(counters(world, S2)) == 5


def test_an_aborted_move_leaves_no_counter_and_no_trace_in_the_totals(world: CountingWorld) -> None:
    world.move(VM, HV1)
    world.exchange_traffic(VM, HV1)
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    assert counters(world, S2)
    world.ask(HV3, VM, VdpMode.DEASSOCIATE)
    for _ in range(4):
        world.advance(LINGER / 4)
        world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert not counters(world, S2)
    world.exchange_traffic(VM, HV1)
    world.read()
    exact(world, VM)


def test_totals_outlive_a_deassociate_before_the_associate(world: CountingWorld) -> None:
    world.move(VM, HV1)
    world.exchange_traffic(VM, HV1)
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    world.exchange_traffic(VM, HV3)
    world.read()
    exact(world, VM)


def test_totals_outlive_a_vsi_that_was_nowhere_for_a_while(world: CountingWorld) -> None:
    world.move(VM, HV1)
    world.exchange_traffic(VM, HV1)
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    world.read()
    assert world.engine.registry.named(VM.text) is None and not counters(world, S1)
    world.move(VM, HV3)
    world.exchange_traffic(VM, HV3)
    world.read()
    exact(world, VM)


# --- rules ----------------------------------------------------------------------------------------
def test_every_rule_has_its_own_count_and_they_add_up(world: CountingWorld) -> None:
    vm = Vm(7, type=RULES)
    world.move(vm, HV1)
    world.exchange_traffic(vm, HV1, 2)
    world.move(vm, HV3)
    world.exchange_traffic(vm, HV3, 1)
    world.read()
    account = world.account(vm)
    packets = {(key.direction, key.number): count.packets for key, count in account.counts.items()}
    # Names, no mail, the default with the broadcast; names, the web with the broadcasts, the default.
    assert packets == {(FROM, 1): 6, (FROM, 2): 6, (FROM, 4): 9, (TO, 1): 6, (TO, 2): 12, (TO, 4): 6}
    assert account.refused(FROM) == CounterValue(6, 6 * 77)
    assert account.refused(TO).packets == 6
    exact(world, vm)


@pytest.mark.parametrize("key", [PLAIN, RULES])
def test_what_guards_drop_is_counted_for_the_vsi_and_apart(world: CountingWorld, key: VsiTypeKey) -> None:
    """A router advertisement, and the low link-local address of a router; nothing that a rule refuses."""
    vm = Vm(7, type=key)
    world.move(vm, HV1)
    icmp = {
        "eth_src": vm.mac,
        "eth_dst": 0x333300000001,
        "eth_type": 0x86DD,
        "ip_proto": 58,
        "icmpv6_code": 0,
        "vlan_vid": 0,
    }
    ends = {"ipv6_src": 0xFE80 << 112 | 0x123456789, "ipv6_dst": 0xFF02 << 112 | 1}
    for sent in ({"icmpv6_type": 134}, {"icmpv6_type": 128, "ipv6_src": 0xFE80 << 112 | 1}):
        assert world.vm_sends(vm, HV1, {**icmp, **ends, **sent}) == 0
    world.read()
    account = world.account(vm)
    assert (account.guarded(FROM).packets, account.guarded(TO).packets) == (2, 0)
    assert account.refused(FROM).packets == 0
    world.move(vm, HV3)
    assert world.vm_sends(vm, HV3, {**icmp, **ends, "icmpv6_type": 134}) == 0
    world.read()
    assert world.account(vm).guarded(FROM).packets == 3


def test_announcements_that_no_rule_judges_are_counted(world: CountingWorld) -> None:
    vm = Vm(7, type=RULES)
    world.move(vm, HV1)
    rarp = {"eth_src": vm.mac, "eth_dst": 0xFFFFFFFFFFFF, "eth_type": 0x8035, "vlan_vid": 0}
    assert world.vm_sends(vm, HV1, rarp) == 2
    world.read()
    assert {key.number: count.packets for key, count in world.account(vm).counts.items()} == {0: 1}
    exact(world, vm)


def test_a_number_of_the_sender_s_rules_is_not_taken_for_one_of_the_receiver_s(world: CountingWorld) -> None:
    """Frames that pass without a rule, as membership messages do, are counted as such."""
    sender, receiver = Vm(8, type=FIRST), Vm(7, type=GROUPS)
    world.move(sender, HV1)
    world.move(receiver, HV2)
    world.interface(receiver)
    report = {"eth_src": sender.mac, "eth_dst": receiver.mac, "eth_type": 0x0800, "ip_proto": 2, "ip_dscp": 0}
    report |= {"ipv4_src": int(sender.address), "ipv4_dst": 0xEF010101, "vlan_vid": 0}
    assert world.vm_sends(sender, HV1, report) == 1
    world.read()
    assert {key.number: count.packets for key, count in world.account(sender).counts.items()} == {1: 1}
    assert {key.number: count.packets for key, count in world.account(receiver).counts.items()} == {0: 1}
    exact(world, receiver)


def test_a_new_version_counts_on_and_keeps_the_rules_apart(world: CountingWorld) -> None:
    old, new = Vm(7, type=RULES), Vm(7, type=RULES_2)
    world.move(old, HV1)
    world.exchange_traffic(old, HV1, 3)
    world.ask(HV1, new, VdpMode.ASSOCIATE)
    world.exchange_traffic(new, HV1, 2)
    world.read()
    account = world.account(new)
    exact(world, new)
    numbers = {key.number for key in account.counts if key.type == RULES_2}
    assert numbers == {1, 2, 4}
    assert account.earlier(TO).packets == 3 * 6
    world.move(new, HV3)
    assert {key.type for key in account.counts} == {None, RULES_2}
    world.read()
    exact(world, new)


# --- restarts -------------------------------------------------------------------------------------
def test_a_restart_of_the_controller_continues_the_totals(world: CountingWorld) -> None:
    world.move(VM, HV1)
    world.exchange_traffic(VM, HV1, 2)
    world.keep_alive(12.0)
    world.exchange_traffic(VM, HV1, 3)
    world.restart_controller()
    world.exchange_traffic(VM, HV1, 4)
    world.read()
    exact(world, VM)


def test_a_controller_that_dies_before_it_has_written_anything_loses_nothing(world: CountingWorld) -> None:
    world.move(VM, HV1)
    world.exchange_traffic(VM, HV1, 2)
    world.restart_controller()
    world.read()
    exact(world, VM)


def test_a_controller_that_dies_between_flip_and_last_reading_loses_nothing(world: CountingWorld) -> None:
    world.move(VM, HV1)
    world.exchange_traffic(VM, HV1, 2)
    world.keep_alive(12.0)
    world.exchange_traffic(VM, HV1, 2)
    world.silent_meters.add(S1)
    world.move(VM, HV3)
    world.exchange_traffic(VM, HV3, 2)
    world.restart_controller()
    world.silent_meters.clear()
    world.read()
    exact(world, VM)
    assert not counters(world, S1)


def test_a_restart_of_the_switch_begins_at_nought_and_the_totals_do_not(world: CountingWorld) -> None:
    world.move(VM, HV1)
    world.exchange_traffic(VM, HV1, 2)
    world.read()
    world.restart_switch(S1)
    world.exchange_traffic(VM, HV1, 5)
    world.read()
    exact(world, VM)


def test_rules_that_are_put_back_do_not_disturb_the_totals(world: CountingWorld) -> None:
    world.move(VM, HV1)
    world.exchange_traffic(VM, HV1, 2)
    table = world.tables[S1]
    gone = next(key for key, rule in table.rules.items() if rule.meter is not None and rule.meter >= FIRST_COUNTER)
    del table.rules[gone]
    world.keep_alive(35.0)
    assert gone in table.rules
    world.exchange_traffic(VM, HV1, 2)
    world.read()
    exact(world, VM)


def test_without_records_unclaimed_counters_stay_with_their_rules_and_go_with_them(world: CountingWorld) -> None:
    world.move(VM, HV1)
    first = counters(world, S1)
    world.restart_controller(remembering=False)
    assert counters(world, S1) == first
    assert world.vm_sends(VM, HV1, udp(VM.mac, CLIENT_MAC, src_ip=int(VM.address))) == 1
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.keep_alive(20.0)
    assert len(counters(world, S1)) == 5 and not counters(world, S1) & first


def test_a_damaged_record_is_left_out_and_told(world: CountingWorld) -> None:
    world.move(VM, HV1)
    world.exchange_traffic(VM, HV1)
    world.keep_alive(12.0)
    key = f"statistics/{VM.text}"
    world.store[key] = world.store[key][:-2]
    world.restart_controller()
    assert [event.detail["record"] for event in world.happened if event.kind == "statistics.not_restored"] == [key]
    world.read()
    exact(world, VM)


# --- what is written ------------------------------------------------------------------------------
def test_keep_alives_and_readings_without_change_are_not_written(world: CountingWorld) -> None:
    world.move(VM, HV1)
    world.exchange_traffic(VM, HV1)
    world.keep_alive(25.0)
    world.store_failure = "would be noticed"
    world.keep_alive(25.0)
    assert not any(event.kind == "store.failed" for event in world.happened)


def test_totals_that_change_are_written_at_most_once_in_ten_seconds(world: CountingWorld) -> None:
    world.move(VM, HV1)
    written = []
    for _ in range(60):
        world.exchange_traffic(VM, HV1)
        world.keep_alive(0.5)
        written.append(world.store.get(f"statistics/{VM.text}"))
    assert 2 <= len(set(written) - {None}) <= 4


def test_a_store_that_refuses_costs_no_total(world: CountingWorld) -> None:
    world.move(VM, HV1)
    world.exchange_traffic(VM, HV1)
    world.store_failure = "disk full"
    world.keep_alive(15.0)
    assert any(event.kind == "store.failed" for event in world.happened)
    world.store_failure = None
    world.keep_alive(12.0)
    world.restart_controller()
    world.read()
    exact(world, VM)


# --- triggers -------------------------------------------------------------------------------------
@pytest.mark.parametrize(("key", "asked"), [(PLAIN, True), (SINGLE, False)])
def test_the_source_s_suspension_begins_the_extraction_if_the_type_says_so(
    world: CountingWorld, key: object, asked: bool
) -> None:
    vm = Vm(7, type=key)
    world.move(vm, HV1)
    world.exchange_traffic(vm, HV1)
    world.ask(HV1, vm, VdpMode.ASSOCIATE, suspended=True)
    extracted = [event for event in world.happened if event.kind == "statistics.extracted"]
    assert bool(extracted) is asked
    assert bool(world.account(vm).total(FROM).packets) is asked


# --- carried by the NMS ---------------------------------------------------------------------------
def test_the_totals_of_a_type_that_the_nms_carries_begin_anew_at_every_port(world: CountingWorld) -> None:
    vm = Vm(7, type=BY_NMS)
    world.move(vm, HV1)
    world.exchange_traffic(vm, HV1, 5)
    left = world.interface(vm).rx
    world.move(vm, HV3)
    (extracted,) = [event for event in world.happened if event.kind == "statistics.extracted"]
    assert extracted.port == HV1 and extracted.detail["to_vm"] == left._asdict()
    world.exchange_traffic(vm, HV3, 1)
    world.read()
    assert world.account(vm).total(TO) == CounterValue(
        world.interface(vm).rx.packets - left.packets, world.interface(vm).rx.octets - left.octets
    )
    assert [account.port for account in world.engine.counters.accounts.of(vm.text)] == [HV3]


def test_a_switch_that_is_away_is_asked_when_it_is_back(world: CountingWorld) -> None:
    world.move(VM, HV1)
    world.exchange_traffic(VM, HV1, 2)
    world.disconnect(S1)
    world.keep_alive(PATIENCE)
    world.move(VM, HV3)
    world.exchange_traffic(VM, HV3, 2)
    world.keep_alive(3.0)
    world.connect(S1)
    world.read()
    exact(world, VM)
    world.keep_alive(3.0)
    assert not counters(world, S1)


def test_a_switch_that_refuses_to_tell_is_asked_again(world: CountingWorld) -> None:
    world.silent_meters.add(S1)
    world.move(VM, HV1)
    world.exchange_traffic(VM, HV1, 2)
    world.keep_alive(3.0)
    world.silent_meters.clear()
    world.read()
    exact(world, VM)


def test_an_end_system_is_not_counted(world: CountingWorld) -> None:
    world.move(VM, HV1)
    world.host_sends(CLIENT, udp(CLIENT_MAC, NMS_MAC))
    world.read()
    assert world.totals(VM) == (CounterValue(), CounterValue())


def test_what_a_switch_had_told_before_it_died_outlives_the_controller(world: CountingWorld) -> None:
    world.move(VM, HV1)
    world.exchange_traffic(VM, HV1, 2)
    world.read()
    world.restart_switch(S1)
    world.restart_controller()
    world.exchange_traffic(VM, HV1, 1)
    world.read()
    exact(world, VM)


def test_a_counter_that_has_overtaken_the_one_that_died_is_not_taken_for_it(world: CountingWorld) -> None:
    world.move(VM, HV1)
    world.exchange_traffic(VM, HV1, 2)
    world.keep_alive(12.0)
    world.restart_switch(S1)
    world.keep_alive(30.0)
    world.exchange_traffic(VM, HV1, 5)
    world.restart_controller()
    world.read()
    exact(world, VM)


def test_a_counter_that_begins_anew_is_written_down_before_the_controller_can_die(world: CountingWorld) -> None:
    world.keep_alive(20.0)
    world.move(VM, HV1)
    world.exchange_traffic(VM, HV1, 2)
    world.keep_alive(1.5)
    world.restart_switch(S1)
    world.exchange_traffic(VM, HV1, 3)
    world.keep_alive(4.0)
    world.restart_controller()
    world.read()
    exact(world, VM)


def test_what_a_switch_had_told_is_written_when_it_goes(world: CountingWorld) -> None:
    world.keep_alive(20.0)
    world.move(VM, HV1)
    world.exchange_traffic(VM, HV1, 2)
    world.read()
    world.disconnect(S1)
    world.tables[S1], world.gauges[S1] = FlowTable(), {}
    world.restart_controller()
    world.exchange_traffic(VM, HV1, 1)
    world.read()
    exact(world, VM)
