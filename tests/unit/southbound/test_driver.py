"""Jobs, lanes and the window of one switch; the switch answers when the test says so."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.events.effect import Apply, Mode, ReadMeters, ReadRules, SendFrame
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.switch import (
    Confirmed,
    FragmentsHandled,
    FrameReceived,
    MetersRead,
    PortChanged,
    Rejected,
    RulesRead,
    SwitchAltered,
    SwitchCapacity,
    SwitchUp,
)
from ryu_apps.evb.flow.actions import Action, ClearInPort, Output, Resubmit, SetField
from ryu_apps.evb.flow.change import RuleBlock, RuleChange
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import (
    FIRST_COUNTER,
    FIRST_OF_VSIS,
    Bucket,
    CookieMask,
    Group,
    GroupType,
    Meter,
    MeterCount,
    MeterUnit,
    Rule,
)
from ryu_apps.evb.pipeline.tables import OURS, TAGGED_GROUP, CookieKind, cookie
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Profile
from ryu_apps.southbound.changes import WINDOW
from ryu_apps.southbound.driver import MAX_OPEN, SwitchDriver
from ryu_apps.southbound.encode import FLOW_MOD_FIXED, flow_add, group_delete, group_write, message, meter_entry
from ryu_apps.southbound.messages import numbered
from ryu_apps.southbound.piece import PIECE, SWEEPS, PieceCache

COOKIE = cookie(CookieKind.TYPE_BODY, 1, 1)


def rule(number: int, page: int = 0) -> Rule:
    return Rule(30, 100, match(metadata=number), COOKIE + page)


def block(pieces: int) -> RuleBlock:
    """A body of a type, of which each page is a piece."""
    return RuleBlock(tuple(rule(number, number // PIECE) for number in range(pieces * PIECE)))


def flow_stats(*rules: Rule) -> bytes:
    """Body of a reply that shows rules."""
    body = struct.pack("!HH4x", ofp.OFPMP_FLOW, 0)
    for shown in rules:
        tail = flow_add(shown)[FLOW_MOD_FIXED:]
        head = (FLOW_MOD_FIXED + len(tail), shown.table, 0, 0, shown.priority, 0, 0, 0, shown.cookie, 1, 60)
        body += struct.pack("!HBxIIHHHHxxxxQQQ", *head) + tail
    return body


class Sent:
    """A message on its way to the switch."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        _version, self.kind, _length, self.xid = struct.unpack_from(ofp.OFP_HEADER_PACK_STR, octets)


class Bench:
    """A driver whose switch is the test."""

    def __init__(self, profile: Profile = Profile.OPEN_VSWITCH) -> None:
        self.events: list[Event] = []
        self.sent: list[Sent] = []
        self.writes = 0
        self._next_xid = 1
        self.driver = SwitchDriver(1, self._send, self._reserve, self.events.append, PieceCache(), profile)

    def _reserve(self, count: int) -> range:
        first, self._next_xid = self._next_xid, self._next_xid + count
        return range(first, first + count)

    def _send(self, octets: bytes | bytearray) -> None:
        self.writes += 1
        while octets:
            length = int.from_bytes(octets[2:4])
            self.sent.append(Sent(bytes(octets[:length])))
            octets = octets[length:]

    def submit(self, token: int, change: RuleChange, mode: Mode = Mode.BULK, lane: int = 0) -> None:
        self.driver.submit(Apply(1, token, change, mode, lane))

    def waiting(self, kind: int = ofp.OFPT_BARRIER_REQUEST) -> list[Sent]:
        return [message for message in self.sent if message.kind == kind]

    def answer(self, sent: Sent, kind: int = ofp.OFPT_BARRIER_REPLY, body: bytes = b"") -> bool:
        """The switch answers; everything it has been sent so far counts as read."""
        self.sent = [message for message in self.sent if message.xid > sent.xid]
        return self.driver.receive(numbered(message(kind, body), sent.xid))

    def refuse(self, sent: Sent, kind: int, code: int) -> bool:
        octets = message(ofp.OFPT_ERROR, struct.pack("!HH", kind, code) + sent.octets[:64])
        return self.driver.receive(numbered(octets, sent.xid))

    def answer_barriers(self) -> None:
        while barriers := self.waiting():
            self.answer(barriers[0])


@pytest.fixture
def bench() -> Bench:
    return Bench()


def surveyed(bench: Bench) -> Bench:
    bench.driver.query_features()
    for asked in list(bench.sent):
        kind = int.from_bytes(asked.octets[8:10])
        bench.answer(asked, ofp.OFPT_MULTIPART_REPLY, struct.pack("!HH4x", kind, 0))
    bench.events.clear()
    return bench


def test_a_bulk_change_is_confirmed_by_the_last_barrier(bench: Bench) -> None:
    bench.submit(7, RuleChange(blocks=(block(1),)))
    (barrier,) = bench.waiting()
    assert bench.events == []
    assert bench.answer(barrier)
    assert bench.events == [Confirmed(1, 7)]
    assert not bench.answer(barrier), "a second answer is not ours"


def test_a_change_that_asks_for_nothing_waits_for_a_barrier_too(bench: Bench) -> None:
    bench.submit(7, RuleChange(blocks=(RuleBlock(()),)))
    bench.answer_barriers()
    assert bench.events == [Confirmed(1, 7)]


def test_no_more_than_a_window_of_pieces_is_under_way(bench: Bench) -> None:
    bench.submit(7, RuleChange(blocks=(block(5),)))
    seen = []
    while barriers := bench.waiting():
        seen.append(len(barriers))
        bench.answer(barriers[0])
    assert max(seen) == WINDOW
    assert bench.events == [Confirmed(1, 7)]


def test_each_page_of_a_body_is_read_back_behind_its_piece_and_a_gate_goes_between(bench: Bench) -> None:
    bench.submit(1, RuleChange(blocks=(block(4),)), Mode.STAGE, lane=1)
    asked, under_way = [], []
    while not bench.events:
        questions = bench.waiting(ofp.OFPT_MULTIPART_REQUEST)
        under_way.append(len(questions) + len(bench.waiting()))
        if len(asked) == 2:
            # Half of the pages are read: what is urgent is sent at once, before the other half.
            bench.submit(2, RuleChange(add=(rule(1, 99),)), Mode.ATOMIC, lane=0)
            assert len(bench.waiting(ofp.OFPT_FLOW_MOD)) <= WINDOW * PIECE + 1
            bench.answer(bench.waiting()[-1])
            assert bench.events == [Confirmed(1, 2)]
            break
        if questions and (not bench.waiting() or questions[0].xid < bench.waiting()[0].xid):
            _table, cookie_asked, mask = struct.unpack_from("!B15xQQ", questions[0].octets, 16)
            asked.append((cookie_asked, mask))
            page = cookie_asked - COOKIE
            shown = [rule(number, page) for number in range(page * PIECE, (page + 1) * PIECE)]
            bench.answer(questions[0], ofp.OFPT_MULTIPART_REPLY, flow_stats(*shown))
        else:
            bench.answer(bench.waiting()[0])
    assert asked == [(COOKIE, (1 << 64) - 1), (COOKIE + 1, (1 << 64) - 1)]
    assert max(under_way) <= WINDOW


def test_few_deletions_by_cookie_are_sent_at_a_time(bench: Bench) -> None:
    masks = tuple(CookieMask(COOKIE + page, (1 << 64) - 1) for page in range(4 * SWEEPS))
    bench.submit(1, RuleChange(delete_by_cookie=masks))
    deleted = 0
    while sent := bench.waiting(ofp.OFPT_FLOW_MOD):
        assert len(sent) <= WINDOW * SWEEPS
        barrier = bench.waiting()[0]
        deleted += sum(message.xid < barrier.xid for message in sent)
        bench.answer(barrier)
    assert deleted == len(masks)
    assert bench.events == [Confirmed(1, 1)]


def test_bulk_changes_of_two_lanes_take_turns(bench: Bench) -> None:
    bench.submit(1, RuleChange(blocks=(block(20),)), lane=1)
    bench.submit(2, RuleChange(blocks=(block(2),)), lane=2)
    while not bench.events:
        bench.answer(bench.waiting()[0])
    assert bench.events == [Confirmed(1, 2)]


def test_a_bundle_does_not_wait_for_a_window(bench: Bench) -> None:
    bench.submit(1, RuleChange(blocks=(block(20),)), lane=1)
    before = bench.writes
    bench.submit(2, RuleChange(add=(rule(1), rule(2))), Mode.ATOMIC, lane=2)
    assert bench.writes == before + 1
    assert bench.waiting(ofp.OFPT_EXPERIMENTER)


def test_the_next_change_of_a_lane_waits_until_the_one_before_is_sent(bench: Bench) -> None:
    bench.submit(1, RuleChange(blocks=(block(WINDOW + 1),)), lane=1)
    bench.submit(2, RuleChange(add=(rule(1), rule(2))), Mode.ATOMIC, lane=1)
    assert not bench.waiting(ofp.OFPT_EXPERIMENTER)
    bench.answer(bench.waiting()[0])
    assert bench.waiting(ofp.OFPT_EXPERIMENTER)


def test_a_long_lane_of_waiting_changes_is_worked_off(bench: Bench) -> None:
    bench.submit(1, RuleChange(blocks=(block(WINDOW + 1),)), lane=1)
    for token in range(2, 1500):
        bench.submit(token, RuleChange(add=(rule(1),)), Mode.ATOMIC, lane=1)
    bench.answer_barriers()
    assert bench.events == [Confirmed(1, token) for token in range(1, 1500)]


def test_a_refused_rule_ends_the_change_at_once(bench: Bench) -> None:
    bench.submit(7, RuleChange(blocks=(block(5),)))
    third = bench.waiting(ofp.OFPT_FLOW_MOD)[2]
    assert bench.refuse(third, ofp.OFPET_FLOW_MOD_FAILED, ofp.OFPFMFC_TABLE_FULL)
    (rejected,) = bench.events
    assert isinstance(rejected, Rejected)
    assert rejected.full
    assert "metadata=0x2 " in rejected.reason
    written = bench.writes
    for barrier in bench.waiting():
        assert bench.answer(barrier), "a late answer is nobody else's"
    assert bench.writes == written
    assert bench.events == [rejected]


def test_a_refusal_frees_the_lane_and_the_window(bench: Bench) -> None:
    bench.submit(1, RuleChange(blocks=(block(5),)), lane=1)
    bench.submit(2, RuleChange(blocks=(block(1),)), lane=1)
    bench.refuse(bench.waiting(ofp.OFPT_FLOW_MOD)[0], ofp.OFPET_BAD_MATCH, ofp.OFPBMC_BAD_PREREQ)
    bench.answer_barriers()
    assert bench.events[1:] == [Confirmed(1, 2)]


def test_a_bundle_with_an_unreadable_message_is_discarded(bench: Bench) -> None:
    bench.submit(7, RuleChange(add=(rule(1), rule(2))), Mode.ATOMIC)
    _opening, first, _second = bench.waiting(ofp.OFPT_EXPERIMENTER)
    (barrier,) = bench.waiting()
    bench.refuse(first, ofp.OFPET_BAD_MATCH, ofp.OFPBMC_BAD_PREREQ)
    bench.answer(barrier)
    (discard,) = bench.sent
    assert discard.octets[20:22] == ofp.ONF_BCT_DISCARD_REQUEST.to_bytes(2)
    assert [type(event) for event in bench.events] == [Rejected]


def test_a_bundle_of_known_shape_is_committed_in_the_same_write(bench: Bench) -> None:
    bench.submit(1, RuleChange(add=(rule(1), rule(2))), Mode.ATOMIC)
    bench.answer_barriers()
    bench.answer(bench.sent[-1], ofp.OFPT_EXPERIMENTER)
    bench.submit(2, RuleChange(add=(rule(3), rule(4))), Mode.ATOMIC)
    assert not bench.waiting()
    assert bench.sent[-1].octets[20:22] == ofp.ONF_BCT_COMMIT_REQUEST.to_bytes(2)
    other = Rule(30, 100, match(metadata=3, eth_type=0x0800), COOKIE)
    bench.submit(3, RuleChange(add=(rule(3), other)), Mode.ATOMIC)
    assert bench.waiting(), "this shape is new"


def test_groups_have_a_shape_too(bench: Bench) -> None:
    def flip(token: int, *buckets: Bucket) -> list[Sent]:
        bench.sent.clear()
        group = Group(7, GroupType.SELECT, buckets)
        bench.submit(token, RuleChange(groups=(group,), add=(rule(token),)), Mode.ATOMIC)
        return bench.waiting()

    one, other = (Bucket((SetField("eth_dst", mac), Resubmit(80)), weight=mac) for mac in (1, 2))
    assert flip(1, one), "nothing is known yet"
    bench.answer_barriers()
    bench.answer(bench.sent[-1], ofp.OFPT_EXPERIMENTER)
    assert not flip(2, other)
    assert flip(3, one, other), "one bucket more"


def test_a_shape_that_was_refused_is_not_trusted_again(bench: Bench) -> None:
    def change(token: int) -> list[Sent]:
        bench.sent.clear()
        bench.submit(token, RuleChange(add=(rule(1), rule(2))), Mode.ATOMIC)
        return bench.waiting(ofp.OFPT_EXPERIMENTER)

    change(1)
    bench.answer_barriers()
    bench.answer(bench.sent[-1], ofp.OFPT_EXPERIMENTER)
    _opening, first, _second, _commit = change(2)
    bench.refuse(first, ofp.OFPET_BAD_MATCH, ofp.OFPBMC_BAD_PREREQ)
    change(3)
    assert bench.waiting()


def test_a_lost_connection_ends_everything_that_is_open(bench: Bench) -> None:
    bench.submit(1, RuleChange(blocks=(block(5),)), Mode.STAGE, lane=1)
    bench.submit(2, RuleChange(add=(rule(1),)), lane=1)
    bench.submit(3, RuleChange(add=(rule(1),)), Mode.ATOMIC, lane=2)
    bench.driver.close()
    assert [(event.token, event.reason) for event in bench.events if isinstance(event, Rejected)] == [
        (token, "switch disconnected") for token in (1, 2, 3)
    ]


def test_a_switch_that_answers_nothing_gets_no_more_work(bench: Bench) -> None:
    for token in range(MAX_OPEN + 1):
        bench.submit(token, RuleChange(add=(rule(1),)))
    (rejected,) = bench.events
    assert isinstance(rejected, Rejected)
    assert rejected.token == MAX_OPEN


def test_a_refused_meter_is_added_anew_the_next_time(bench: Bench) -> None:
    meters = RuleChange(meters=(Meter(1, 10, 10),))
    bench.submit(1, meters)
    bench.refuse(bench.waiting(ofp.OFPT_METER_MOD)[0], ofp.OFPET_METER_MOD_FAILED, ofp.OFPMMFC_OUT_OF_METERS)
    bench.answer_barriers()
    for token, command in ((2, ofp.OFPMC_ADD), (3, ofp.OFPMC_MODIFY)):
        bench.submit(token, meters)
        assert bench.waiting(ofp.OFPT_METER_MOD)[0].octets[8:10] == command.to_bytes(2)
        bench.answer_barriers()


COUNTER = Meter(FIRST_COUNTER | 1, 1, 1)


def commands(bench: Bench) -> list[tuple[int, int]]:
    """Command and id of the meter-mods that wait."""
    found = [struct.unpack_from("!HHI", message.octets, 8) for message in bench.waiting(ofp.OFPT_METER_MOD)]
    return [(command, meter_id) for command, _flags, meter_id in found]


def test_a_counter_that_is_there_goes_on_counting_and_a_new_one_is_added(bench: Bench) -> None:
    bench.submit(1, RuleChange(counters=(COUNTER,)))
    assert commands(bench) == [(ofp.OFPMC_ADD, COUNTER.meter_id)]
    bench.answer_barriers()
    bench.submit(2, RuleChange(counters=(COUNTER,)))
    assert commands(bench) == []


def test_of_counters_only_those_stay_that_are_to_be_kept_and_meters_are_none_of_them(bench: Bench) -> None:
    others = tuple(Meter(FIRST_COUNTER | number, 1, 1) for number in (2, 3))
    bench.submit(1, RuleChange(meters=(Meter(9, 1, 1), COUNTER, *others)))
    bench.answer_barriers()
    bench.submit(2, RuleChange(keep_meters=frozenset({COUNTER.meter_id})))
    assert commands(bench) == [(ofp.OFPMC_DELETE, meter.meter_id) for meter in others]
    bench.answer_barriers()
    bench.submit(3, RuleChange(delete_meters=(9,), keep_meters=frozenset()))
    assert commands(bench) == [(ofp.OFPMC_DELETE, 9), (ofp.OFPMC_DELETE, COUNTER.meter_id)]


def test_what_is_added_while_others_are_removed_stays(bench: Bench) -> None:
    """A change that removes much takes long; what a VSI gets meanwhile was not known when it was made."""
    old = Meter(FIRST_COUNTER | 2, 1, 1), Group(TAGGED_GROUP | 2, GroupType.ALL, ())
    bench.submit(1, RuleChange(meters=(old[0],), groups=(old[1],)))
    bench.answer_barriers()
    removed = tuple(rule(number) for number in range(WINDOW * PIECE + 1))
    bench.submit(2, RuleChange(remove=removed, keep_meters=frozenset(), keep_groups=frozenset()))
    new = Group(TAGGED_GROUP | 3, GroupType.ALL, ())
    bench.submit(3, RuleChange(meters=(COUNTER,), groups=(new,)), lane=9)
    sent: dict[int, Sent] = {}
    while barriers := bench.waiting():
        sent.update((message.xid, message) for message in bench.sent)
        bench.answer(barriers[0])
    assert {event.token for event in bench.events if isinstance(event, Confirmed)} == {1, 2, 3}
    mods = [message.octets for message in sent.values() if message.kind in (ofp.OFPT_METER_MOD, ofp.OFPT_GROUP_MOD)]
    deleted = [octets[12:16] for octets in mods if octets[8:10] == ofp.OFPGC_DELETE.to_bytes(2)]
    assert sorted(deleted) == [old[1].group_id.to_bytes(4), old[0].meter_id.to_bytes(4)]


@pytest.mark.parametrize("rate", [1000, 999])
def test_a_staged_meter_is_read_back_before_the_change_is_confirmed(bench: Bench, rate: int) -> None:
    limit = Meter(FIRST_OF_VSIS | 7, 1000, 100, MeterUnit.KILOBITS)
    bench.submit(1, RuleChange(meters=(limit,)), Mode.STAGE)
    bench.answer(bench.waiting()[0])
    (asked,) = bench.sent
    assert asked.octets[16:20] == limit.meter_id.to_bytes(4) and bench.events == []
    shown = multipart(ofp.OFPMP_METER_CONFIG, meter_entry(replace(limit, rate=rate)))
    bench.answer(asked, ofp.OFPT_MULTIPART_REPLY, shown)
    (ended,) = bench.events
    assert isinstance(ended, Confirmed if rate == 1000 else Rejected)


def test_meters_are_deleted_behind_the_rules(bench: Bench) -> None:
    bench.submit(1, RuleChange(meters=(COUNTER,)))
    bench.answer_barriers()
    bench.submit(2, RuleChange(delete_by_cookie=(CookieMask(COOKIE, COOKIE),), delete_meters=(COUNTER.meter_id,)))
    bench.answer(bench.waiting()[0])
    kinds = [message.kind for message in bench.sent]
    assert kinds == [ofp.OFPT_METER_MOD, ofp.OFPT_BARRIER_REQUEST]


def test_a_counter_that_somebody_has_deleted_is_added_when_its_rule_is_refused(bench: Bench) -> None:
    bench.submit(1, RuleChange(counters=(COUNTER,)))
    bench.answer_barriers()
    bench.submit(2, RuleChange(add=(replace(rule(1), meter=COUNTER.meter_id),)))
    bench.refuse(bench.waiting(ofp.OFPT_FLOW_MOD)[0], ofp.OFPET_METER_MOD_FAILED, ofp.OFPMMFC_UNKNOWN_METER)
    bench.answer_barriers()
    bench.submit(3, RuleChange(counters=(COUNTER,)))
    assert commands(bench) == [(ofp.OFPMC_ADD, COUNTER.meter_id)]


def meter_stats(meter_id: int, packets: int, more: bool = False) -> bytes:
    head = struct.pack("!HH4x", ofp.OFPMP_METER, more)
    return head + struct.pack("!IH6xIQQIIQQ", meter_id, 56, 2, packets, 60 * packets, 7, 500_000_000, 0, 0)


def test_meters_are_read_all_at_once(bench: Bench) -> None:
    bench.driver.read_meters(ReadMeters(1, 9))
    (asked,) = bench.sent
    assert asked.octets[16:20] == ofp.OFPM_ALL.to_bytes(4)
    for meter_id, more in ((5, True), (6, False)):
        bench.answer(asked, ofp.OFPT_MULTIPART_REPLY, meter_stats(meter_id, meter_id, more))
    assert bench.events == [
        MetersRead(1, 9, tuple(MeterCount(number, 2, number, 60 * number, 7.5) for number in (5, 6)))
    ]


def test_meters_are_read_one_by_one_and_one_that_is_not_there_has_counted_nothing(bench: Bench) -> None:
    bench.driver.read_meters(ReadMeters(1, 9, (5, 6)))
    first, second = bench.sent
    bench.refuse(first, ofp.OFPET_METER_MOD_FAILED, ofp.OFPMMFC_UNKNOWN_METER)
    assert bench.events == []
    bench.answer(second, ofp.OFPT_MULTIPART_REPLY, meter_stats(6, 1))
    assert bench.events == [MetersRead(1, 9, (MeterCount(6, 2, 1, 60, 7.5),))]


def test_meters_of_a_switch_that_is_lost_are_not_read(bench: Bench) -> None:
    bench.driver.read_meters(ReadMeters(1, 9))
    bench.driver.close()
    assert bench.events == [Rejected(1, 9, "switch disconnected")]


def test_answers_to_others_are_left_to_them(bench: Bench) -> None:
    bench.submit(1, RuleChange(add=(rule(1),)))
    assert not bench.driver.receive(numbered(message(ofp.OFPT_BARRIER_REPLY, b""), 99))
    assert not bench.driver.receive(numbered(message(ofp.OFPT_ECHO_REQUEST, b""), bench.waiting()[0].xid + 1))


def test_frames_go_out_at_once(bench: Bench) -> None:
    bench.submit(1, RuleChange(blocks=(block(20),)))
    bench.driver.send_frame(SendFrame(PortId(1, 3), b"frame"))
    assert bench.sent[-1].kind == ofp.OFPT_PACKET_OUT


def test_a_frame_may_leave_by_a_group(bench: Bench) -> None:
    bench.driver.send_frame(SendFrame(PortId(1, 3), b"frame", 0x100003))
    assert bench.sent[-1].octets[24:] == struct.pack("!HHI", ofp.OFPAT_GROUP, 8, 0x100003) + b"frame"


def punted(rule_cookie: int) -> bytes:
    fields = struct.pack("!HHII4x", 1, 12, 0x80000004, 3)
    return message(ofp.OFPT_PACKET_IN, struct.pack("!IHBBQ", 0, 5, 0, 0, rule_cookie) + fields + b"\0\0frame")


def test_frames_that_our_rules_punt_are_told(bench: Bench) -> None:
    surveyed(bench).driver.receive(punted(COOKIE))
    assert bench.events == [FrameReceived(PortId(1, 3), b"frame")]


def test_frames_that_others_punt_are_not(bench: Bench) -> None:
    surveyed(bench).driver.receive(punted(0))
    assert bench.events == []


def test_frames_before_the_switch_is_known_are_not(bench: Bench) -> None:
    bench.driver.receive(punted(COOKIE))
    assert bench.events == []


def port(number: int, config: int = 0, state: int = 0, speed: int = 0) -> bytes:
    return struct.pack("!I4x6s2x16sII16xI4x", number, b"", b"", config, state, speed)


@pytest.mark.parametrize(
    ("reason", "config", "state", "up", "live"),
    [
        (ofp.OFPPR_MODIFY, 0, ofp.OFPPS_LIVE, True, True),
        (ofp.OFPPR_MODIFY, 0, 0, True, False),
        (ofp.OFPPR_MODIFY, ofp.OFPPC_PORT_DOWN, 0, False, False),
        (ofp.OFPPR_MODIFY, 0, ofp.OFPPS_LINK_DOWN, False, False),
        (ofp.OFPPR_DELETE, 0, ofp.OFPPS_LIVE, False, False),
    ],
)
def test_a_link_that_changes_is_told(bench: Bench, reason: int, config: int, state: int, up: bool, live: bool) -> None:
    body = struct.pack("!B7x", reason) + port(5, config, state)
    assert not surveyed(bench).driver.receive(message(ofp.OFPT_PORT_STATUS, body)), "Ryu keeps a list of its own"
    assert bench.events == [PortChanged(PortId(1, 5), up, live)]


def multipart(kind: int, body: bytes = b"", more: int = 0) -> bytes:
    return struct.pack("!HH4x", kind, more) + body


def test_a_survey_tells_ports_meters_room_and_reflective_relay(bench: Bench) -> None:
    bench.driver.query_features()
    _forward, watch, barrier, ports, meters, tables, groups, most_meters, most_groups = bench.sent
    bench.answer(watch, ofp.OFPT_MULTIPART_REPLY, multipart(ofp.OFPMP_EXPERIMENTER, WATCH))
    bench.answer(barrier)
    described_ports = port(1, speed=10_000_000) + port(2, 1) + port(3, state=ofp.OFPPS_LIVE)
    bench.answer(ports, ofp.OFPT_MULTIPART_REPLY, multipart(ofp.OFPMP_PORT_DESC, described_ports))
    config = struct.pack("!HHI", 8, 0, 5)
    bench.answer(meters, ofp.OFPT_MULTIPART_REPLY, multipart(ofp.OFPMP_METER_CONFIG, config))
    for more, room in ((1, 1000), (0, 10)):
        features = struct.pack("!HB5x32xQQII", 64, 30 + more * 10, 0, 0, 0, room)
        bench.answer(tables, ofp.OFPT_MULTIPART_REPLY, multipart(ofp.OFPMP_TABLE_FEATURES, features, more))
    listed = b"".join(described(TAGGED_GROUP + number, *actions) for number, actions in ((1, BACK), (2, BACK[1:])))
    bench.answer(groups, ofp.OFPT_MULTIPART_REPLY, multipart(ofp.OFPMP_GROUP_DESC, listed))
    features = struct.pack("!IIIBB2x", 262_144, 2, 0xF, 8, 0)
    bench.answer(most_meters, ofp.OFPT_MULTIPART_REPLY, multipart(ofp.OFPMP_METER_FEATURES, features))
    features = struct.pack("!II8I", 0xD, 0, 900, 0, 700, 600, 0, 0, 0, 0)
    bench.answer(most_groups, ofp.OFPT_MULTIPART_REPLY, multipart(ofp.OFPMP_GROUP_FEATURES, features))
    capacity = SwitchCapacity({30: 10, 40: 1000}, meters=262_144, groups=600, speeds={1: 10_000_000})
    states, live = {1: True, 2: False, 3: True}, frozenset({3})
    assert bench.events == [SwitchUp(1, states, capacity, frozenset({5}), frozenset({1}), live=live)]


BACK = ClearInPort(), Output(1)


def described(group_id: int, *actions: Action) -> bytes:
    """A group as a switch describes it."""
    body = group_write(Group(group_id, GroupType.INDIRECT, (Bucket(actions),)))[16:]
    return struct.pack("!HBxI", 8 + len(body), GroupType.INDIRECT.value, group_id) + body


def test_a_switch_that_does_not_tell_its_room_and_its_meters_is_up_all_the_same(bench: Bench) -> None:
    bench.driver.query_features()
    for asked in list(bench.sent):
        bench.refuse(asked, ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_BAD_MULTIPART)
    assert bench.events == [SwitchUp(1, {}, watched=False)]


def test_a_switch_that_answers_only_the_barrier_does_not_watch(bench: Bench) -> None:
    """Open vSwitch 3.1 refuses a second monitor of one id under a transaction id that nobody has used."""
    bench.driver.query_features()
    _forward, _watch, barrier, *others = bench.sent
    bench.answer(barrier)
    for asked in others:
        bench.refuse(asked, ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_BAD_MULTIPART)
    assert bench.events == [SwitchUp(1, {}, watched=False)]


# --- who else changes the switch ------------------------------------------------------------------
WATCH = struct.pack("!II", 0x4F4E4600, 1870)
GATE = cookie(CookieKind.GATE, 7)
FOREIGN = 0x1234
ADDED, DELETED, MODIFIED = 0, 1, 2
HARD_TIMEOUT, DELETE, BY_GROUP = ofp.OFPRR_HARD_TIMEOUT, ofp.OFPRR_DELETE, ofp.OFPRR_GROUP_DELETE


def update(event: int, reason: int, owner: int) -> bytes:
    """A change of a rule as a flow monitor tells of it."""
    return struct.pack("!HHHHHHHBxQ", 32, event, reason, 5, 0, 0, 4, 10, owner) + bytes.fromhex("0001000400000000")


def abbreviated(xid: int) -> bytes:
    return struct.pack("!HHI", 8, 3, xid)


def tell(bench: Bench, *updates: bytes) -> None:
    body = multipart(ofp.OFPMP_EXPERIMENTER, WATCH + b"".join(updates))
    assert bench.driver.receive(message(ofp.OFPT_MULTIPART_REPLY, body)), "nothing that Ryu could read"


def altered(bench: Bench, *left: int) -> list[Event]:
    """The switch says which meters are left; what was made of what it had told."""
    asked = bench.waiting(ofp.OFPT_MULTIPART_REQUEST)
    for request in asked:
        config = b"".join(struct.pack("!HHI", 8, 0, meter_id) for meter_id in left)
        bench.answer(request, ofp.OFPT_MULTIPART_REPLY, multipart(ofp.OFPMP_METER_CONFIG, config))
    return bench.events


@pytest.mark.parametrize("event", [(DELETED, DELETE), (DELETED, BY_GROUP), (MODIFIED, 0), (ADDED, 0)])
def test_a_rule_of_ours_that_somebody_else_changes_is_told(bench: Bench, event: tuple[int, int]) -> None:
    tell(surveyed(bench), update(*event, FOREIGN), update(*event, GATE))
    assert altered(bench, 5) == [SwitchAltered(1, frozenset({5}), certain=True)]


def test_a_rule_of_others_in_our_tables_may_have_been_ours(bench: Bench) -> None:
    tell(surveyed(bench), update(ADDED, 0, FOREIGN))
    assert altered(bench) == [SwitchAltered(1, frozenset(), certain=False)]


def test_a_rule_that_the_switch_was_told_to_end_is_nobodys_doing(bench: Bench) -> None:
    tell(surveyed(bench), update(DELETED, HARD_TIMEOUT, cookie(CookieKind.DETOUR, 7)))
    assert altered(bench) == []


def test_what_this_driver_changes_is_its_own_doing(bench: Bench) -> None:
    surveyed(bench).submit(1, RuleChange(add=(rule(1),)))
    (flow_mod,) = bench.waiting(ofp.OFPT_FLOW_MOD)
    tell(bench, abbreviated(flow_mod.xid))
    assert altered(bench) == []


def test_what_another_application_changes_on_this_connection_is_told(bench: Bench) -> None:
    tell(surveyed(bench), abbreviated(4711))
    assert altered(bench) == [SwitchAltered(1, frozenset(), certain=False)]


def test_a_group_or_meter_that_somebody_else_changes_is_told(bench: Bench) -> None:
    body = struct.pack("!II", 0x4F4E4600, 2350) + group_delete(5)
    assert surveyed(bench).driver.receive(message(ofp.OFPT_EXPERIMENTER, body))
    assert altered(bench) == [SwitchAltered(1, frozenset(), certain=True)]


def test_what_comes_together_is_told_once(bench: Bench) -> None:
    surveyed(bench)
    for number in range(7):
        tell(bench, update(DELETED, DELETE, FOREIGN if number < 3 else GATE))
    assert altered(bench) == [SwitchAltered(1, frozenset(), certain=True)]


def test_what_comes_later_is_told_again(bench: Bench) -> None:
    tell(surveyed(bench), update(DELETED, DELETE, GATE))
    assert len(altered(bench)) == 1
    tell(bench, update(DELETED, DELETE, GATE))
    assert len(altered(bench)) == 2


def test_nothing_is_told_of_a_switch_that_is_not_up_yet(bench: Bench) -> None:
    tell(bench, update(DELETED, DELETE, GATE))
    assert bench.sent == []


def test_a_meter_that_somebody_has_deleted_is_added_and_one_that_is_there_modified(bench: Bench) -> None:
    meters = tuple(Meter(number, 10, 10) for number in (4, 5))
    surveyed(bench).submit(1, RuleChange(meters=meters))
    bench.answer_barriers()
    tell(bench, update(DELETED, DELETE, GATE))
    # While the switch answers, another one is added; it is not in the answer.
    bench.submit(2, RuleChange(meters=(Meter(6, 10, 10),)))
    question = bench.waiting(ofp.OFPT_MULTIPART_REQUEST)[0]
    config = struct.pack("!HHI", 8, 0, 5)
    octets = message(ofp.OFPT_MULTIPART_REPLY, multipart(ofp.OFPMP_METER_CONFIG, config))
    bench.driver.receive(numbered(octets, question.xid))
    bench.sent.clear()
    bench.submit(3, RuleChange(meters=(*meters, Meter(6, 10, 10))))
    commands = [int.from_bytes(message.octets[8:10]) for message in bench.waiting(ofp.OFPT_METER_MOD)]
    assert commands == [ofp.OFPMC_ADD, ofp.OFPMC_MODIFY, ofp.OFPMC_MODIFY]


def test_reading_nothing_tells_nothing(bench: Bench) -> None:
    bench.driver.read(ReadRules(1, 9, CookieMask(0, 0)))
    bench.answer(bench.sent[0], ofp.OFPT_MULTIPART_REPLY, struct.pack("!HH4x", ofp.OFPMP_FLOW, 0))
    assert bench.events == [RulesRead(1, 9, ())]


def test_rules_come_in_several_parts(bench: Bench) -> None:
    bench.driver.read(ReadRules(1, 9, CookieMask(0, 0)))
    (asked,) = bench.sent
    for number, more in ((1, ofp.OFPMPF_REPLY_MORE), (2, 0)):
        tail = flow_add(rule(number))[FLOW_MOD_FIXED:]
        head = (FLOW_MOD_FIXED + len(tail), 30, 0, 0, 100, 0, 0, 0, COOKIE, number, 60 * number)
        body = struct.pack("!HH4xHBxIIHHHHxxxxQQQ", ofp.OFPMP_FLOW, more, *head) + tail
        bench.answer(asked, ofp.OFPT_MULTIPART_REPLY, body)
    assert bench.events == [RulesRead(1, 9, (rule(1), rule(2)))]


def test_a_lost_connection_ends_a_question(bench: Bench) -> None:
    bench.driver.read(ReadRules(1, 9, CookieMask(0, 0)))
    bench.driver.close()
    assert bench.events == [Rejected(1, 9, "switch disconnected")]


# --- fragments ------------------------------------------------------------------------------------
def configured(flags: int, miss_send_len: int = 200) -> bytes:
    return struct.pack("!HH", flags, miss_send_len)


def asked_all(bench: Bench) -> Sent:
    """The first message of a comparison."""
    bench.driver.read(ReadRules(1, 9, OURS))
    return bench.waiting(ofp.OFPT_GET_CONFIG_REQUEST)[0]


def test_whoever_compares_a_switch_asks_how_it_handles_fragments(bench: Bench) -> None:
    bench.answer(asked_all(bench), ofp.OFPT_GET_CONFIG_REPLY, configured(3))
    assert bench.events == [FragmentsHandled(1, before=True, shown=True)]
    assert not bench.waiting(ofp.OFPT_SET_CONFIG)


def test_a_switch_that_hides_the_ports_of_fragments_is_told_to_show_them(bench: Bench) -> None:
    bench.answer(asked_all(bench), ofp.OFPT_GET_CONFIG_REPLY, configured(ofp.OFPC_FRAG_NORMAL))
    (told,) = bench.waiting(ofp.OFPT_SET_CONFIG)
    assert told.octets[8:] == configured(3)
    bench.answer(bench.waiting(ofp.OFPT_GET_CONFIG_REQUEST)[0], ofp.OFPT_GET_CONFIG_REPLY, configured(3))
    assert bench.events == [FragmentsHandled(1, before=False, shown=True)]


def test_a_switch_that_refuses_is_told_of(bench: Bench) -> None:
    bench.answer(asked_all(bench), ofp.OFPT_GET_CONFIG_REPLY, configured(ofp.OFPC_FRAG_DROP))
    (told,) = bench.waiting(ofp.OFPT_SET_CONFIG)
    again = bench.waiting(ofp.OFPT_GET_CONFIG_REQUEST)[0]
    bench.refuse(told, ofp.OFPET_SWITCH_CONFIG_FAILED, ofp.OFPSCFC_BAD_FLAGS)
    bench.answer(again, ofp.OFPT_GET_CONFIG_REPLY, configured(ofp.OFPC_FRAG_DROP))
    assert bench.events == [FragmentsHandled(1, before=False, shown=False)]


def test_a_switch_that_has_no_configuration_hides_them(bench: Bench) -> None:
    bench.refuse(asked_all(bench), ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_BAD_TYPE)
    assert bench.events == [FragmentsHandled(1, before=False, shown=False)]
