"""A change that was prepared leaves in one round trip, with the octets that it would have had anyway."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from ryu.ofproto import ofproto_common as common
from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.events.effect import Apply, Mode
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.switch import Confirmed, Rejected
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import Group, GroupType, Meter, Rule
from ryu_apps.evb.pipeline.tables import CookieKind, cookie
from ryu_apps.evb.topology.switch import Profile
from ryu_apps.southbound.bundles import ROOM, Bundle
from ryu_apps.southbound.driver import SwitchDriver
from ryu_apps.southbound.encode import message
from ryu_apps.southbound.messages import bundle_add, bundle_control, numbered
from ryu_apps.southbound.piece import PieceCache, addition


def rule(number: int, **fields: int) -> Rule:
    return Rule(30, 100, match(metadata=number, **fields), cookie(CookieKind.GATE, number))


def change(number: int = 1) -> RuleChange:
    return RuleChange(add=(rule(number), rule(number + 1, in_port=5)), remove=(rule(number + 2),))


class Switch:
    """A driver whose switch is the test."""

    def __init__(self, profile: Profile = Profile.OPEN_VSWITCH) -> None:
        self.events: list[Event] = []
        self.sent: list[bytes] = []
        self.next_xid = 1
        self.driver = SwitchDriver(1, self._send, self._reserve, self.events.append, PieceCache(), profile)

    def _send(self, octets: bytes | bytearray) -> None:
        while octets:
            length = int.from_bytes(octets[2:4])
            self.sent.append(bytes(octets[:length]))
            octets = octets[length:]

    def _reserve(self, count: int) -> range:
        first, self.next_xid = self.next_xid, self.next_xid + count
        return range(first, self.next_xid)

    def submit(self, asked: RuleChange) -> list[bytes]:
        """Submit a change; returns what was sent for it."""
        before = len(self.sent)
        self.driver.submit(Apply(1, 7, asked, Mode.ATOMIC))
        return self.sent[before:]

    def controls(self) -> list[int]:
        """The requests of all bundle control messages, in order."""
        control = common.ONF_EXPERIMENTER_ID, ofp.ONF_ET_BUNDLE_CONTROL
        return [
            int.from_bytes(octets[20:22])
            for octets in self.sent
            if octets[1] == ofp.OFPT_EXPERIMENTER and struct.unpack_from("!II", octets, 8) == control
        ]

    def answer(self, kind: int, asked: bytes, body: bytes = b"") -> None:
        self.driver.receive(numbered(message(kind, body), int.from_bytes(asked[4:8])))

    def refuse(self, asked: bytes) -> None:
        self.answer(ofp.OFPT_ERROR, asked, struct.pack("!HH", ofp.OFPET_BAD_MATCH, ofp.OFPBMC_BAD_VALUE) + asked[:64])

    def rehearse(self, asked: RuleChange) -> None:
        """Prepare a change whose messages the switch takes."""
        self.driver.prepare(asked)
        if self.sent:
            self.answer(ofp.OFPT_BARRIER_REPLY, self.sent[-1])
            self.answer(ofp.OFPT_EXPERIMENTER, self.sent[-1], bytes(8))


COMMIT = [ofp.ONF_BCT_OPEN_REQUEST, ofp.ONF_BCT_COMMIT_REQUEST]
REHEARSAL = [ofp.ONF_BCT_OPEN_REQUEST, ofp.ONF_BCT_DISCARD_REQUEST]


@pytest.fixture
def switch() -> Switch:
    return Switch()


def test_the_first_flip_of_a_shape_needs_one_round_trip_if_it_was_prepared(switch: Switch) -> None:
    switch.rehearse(prepared := change())
    assert switch.controls() == REHEARSAL
    switch.submit(prepared)
    assert switch.controls() == REHEARSAL + COMMIT


def test_one_that_was_not_prepared_waits_for_the_check(switch: Switch) -> None:
    switch.submit(change())
    assert switch.controls() == [ofp.ONF_BCT_OPEN_REQUEST]
    assert switch.sent[-1][1] == ofp.OFPT_BARRIER_REQUEST


def test_a_shape_that_is_known_is_not_rehearsed_again(switch: Switch) -> None:
    switch.rehearse(change())
    switch.driver.prepare(change(10))
    assert switch.controls() == REHEARSAL


def test_what_is_refused_at_the_rehearsal_is_discarded_and_still_checked_when_it_is_asked_for(switch: Switch) -> None:
    switch.driver.prepare(prepared := change())
    switch.refuse(switch.sent[1])
    switch.answer(ofp.OFPT_BARRIER_REPLY, switch.sent[-1])
    assert switch.controls() == REHEARSAL
    switch.answer(ofp.OFPT_EXPERIMENTER, switch.sent[-1], bytes(8))
    switch.submit(prepared)
    assert switch.controls() == [*REHEARSAL, ofp.ONF_BCT_OPEN_REQUEST]
    assert switch.sent[-1][1] == ofp.OFPT_BARRIER_REQUEST


def test_a_switch_without_bundles_ends_the_rehearsal(switch: Switch) -> None:
    switch.driver.prepare(change())
    for asked in list(switch.sent[:-1]):
        switch.refuse(asked)
    switch.answer(ofp.OFPT_BARRIER_REPLY, switch.sent[-1])
    assert switch.events == []
    switch.refuse(switch.sent[-1])
    assert switch.events == [Confirmed(1, 0)]


@pytest.mark.parametrize("groups", [(), (Group(1, GroupType.ALL, ()), Group(2, GroupType.SELECT, ()))])
def test_prepared_octets_are_those_of_the_same_change_unprepared(switch: Switch, groups: tuple[Group, ...]) -> None:
    def changed(first: int = 0) -> RuleChange:
        return replace(change(first), groups=groups)

    switch.rehearse(prepared := changed())
    other = Switch()
    other.rehearse(changed(20))
    other.next_xid = switch.next_xid
    octets = switch.submit(prepared)
    assert switch.controls() == REHEARSAL + COMMIT
    assert octets == other.submit(changed())


def test_a_bundle_is_numbered_like_its_messages_one_by_one() -> None:
    messages = [addition(rule(number)) for number in range(3)]
    added = [bundle_add(99, octets, 50 + number) for number, (octets, _subject) in enumerate(messages)]
    opened = bundle_control(99, ofp.ONF_BCT_OPEN_REQUEST, 7)
    assert Bundle(tuple(messages)).numbered(opening=7, first=50, bundle_id=99) == b"".join([opened, *added])


def test_an_equal_change_is_not_the_prepared_one(switch: Switch) -> None:
    """Only the very object is looked up: to compare changes would take as long as to encode them."""
    switch.rehearse(prepared := change())
    assert switch.driver._bundles.take(replace(prepared)) is None
    assert switch.driver._bundles.take(prepared) is not None
    assert switch.driver._bundles.take(prepared) is None


@pytest.mark.parametrize(
    "unknown",
    [
        replace(change(), delete_groups=(1,)),
        RuleChange(),
    ],
)
def test_what_changes_nothing_or_depends_on_the_switch_is_not_prepared(switch: Switch, unknown: RuleChange) -> None:
    switch.driver.prepare(unknown)
    assert switch.sent == [] and switch.driver._bundles.take(unknown) is None


def test_a_change_of_one_message_is_encoded_and_not_rehearsed(switch: Switch) -> None:
    for prepared in (RuleChange(add=(rule(1),)), RuleChange(remove=(rule(1),))):
        switch.driver.prepare(prepared)
        assert switch.sent == []
        assert switch.driver._bundles.take(prepared) is not None
        switch.driver.prepare(prepared)
        other = Switch()
        other.next_xid = switch.next_xid
        assert switch.submit(prepared) == other.submit(replace(prepared))
        switch.sent.clear()


def test_a_switch_without_extensions_gets_no_bundle() -> None:
    switch = Switch(Profile.OPENFLOW13)
    switch.driver.prepare(change())
    assert switch.sent == []


def test_not_more_is_kept_than_there_is_room_for(switch: Switch) -> None:
    changes = [change(number) for number in range(ROOM + 1)]
    for prepared in changes:
        switch.driver.prepare(prepared)
    assert [switch.driver._bundles.take(prepared) is None for prepared in changes] == [True] + ROOM * [False]


# --- meters that are opened with a bundle ---------------------------------------------------------
def opening() -> RuleChange:
    return replace(change(), meters=(Meter(8, 1, 1),), opened=(Meter(9, 1000, 1000),))


def kinds(sent: list[bytes]) -> list[int]:
    return [octets[1] for octets in sent if octets[1] != ofp.OFPT_EXPERIMENTER]


def commit(switch: Switch) -> None:
    switch.answer(ofp.OFPT_EXPERIMENTER, switch.sent[-1], bytes(8))


def rates(sent: list[bytes]) -> list[int]:
    return [int.from_bytes(octets[20:24]) for octets in sent if octets[1] == ofp.OFPT_METER_MOD]


def test_a_meter_is_opened_ahead_of_a_bundle_that_the_switch_will_take(switch: Switch) -> None:
    switch.rehearse(change())
    sent = switch.submit(opening())
    assert kinds(sent) == [ofp.OFPT_METER_MOD, ofp.OFPT_METER_MOD, ofp.OFPT_BARRIER_REQUEST]
    assert rates(sent) == [1, 1000], "the one that is shut is the first"
    assert sent[-1][1] == ofp.OFPT_EXPERIMENTER, "and the bundle is committed in the same write"
    switch.answer(ofp.OFPT_BARRIER_REPLY, next(octets for octets in sent if octets[1] == ofp.OFPT_BARRIER_REQUEST))
    assert switch.events[1:] == [], "an open meter confirms nothing"
    commit(switch)
    assert switch.events[1:] == [Confirmed(1, 7)]


def test_a_bundle_that_has_to_be_checked_opens_nothing_before_it_is_committed(switch: Switch) -> None:
    sent = switch.submit(opening())
    assert rates(sent) == [1]
    switch.answer(ofp.OFPT_BARRIER_REPLY, sent[-1])
    before = len(switch.sent)
    commit(switch)
    assert switch.events == [Confirmed(1, 7)]
    assert kinds(switch.sent[before:]) == [ofp.OFPT_METER_MOD, ofp.OFPT_BARRIER_REQUEST]


def test_if_it_is_refused_nothing_is_opened(switch: Switch) -> None:
    sent = switch.submit(opening())
    switch.refuse(next(octets for octets in sent[1:] if octets[1] == ofp.OFPT_EXPERIMENTER))
    switch.answer(ofp.OFPT_BARRIER_REPLY, sent[-1])
    assert [type(event) for event in switch.events] == [Rejected]
    assert rates(switch.sent) == [1]


def test_what_shuts_a_meter_comes_behind_what_opens_it(switch: Switch) -> None:
    sent = switch.submit(opening())
    shutting = RuleChange(meters=(Meter(9, 1, 1),), remove=(rule(1),))
    assert switch.submit(shutting) == []
    before = len(switch.sent)
    switch.answer(ofp.OFPT_BARRIER_REPLY, sent[-1])
    commit(switch)
    assert rates(switch.sent[before:]) == [1000, 1]


def test_a_prepared_flip_with_meters_leaves_with_the_octets_that_it_would_have_had(switch: Switch) -> None:
    flip, other = opening(), Switch()
    switch.rehearse(flip)
    other.rehearse(change())
    other.next_xid = switch.next_xid
    assert switch.submit(flip) == other.submit(replace(flip))


def test_a_meter_that_cannot_be_opened_costs_the_change_nothing(switch: Switch) -> None:
    switch.rehearse(change())
    sent = switch.submit(opening())
    meter = [octets for octets in sent if octets[1] == ofp.OFPT_METER_MOD][-1]
    switch.refuse(meter)
    switch.answer(ofp.OFPT_BARRIER_REPLY, next(octets for octets in sent if octets[1] == ofp.OFPT_BARRIER_REQUEST))
    assert switch.events[1:] == []
    commit(switch)
    assert switch.events[1:] == [Confirmed(1, 7)]
    before = len(switch.controls())
    switch.submit(change())
    assert switch.controls()[before:] == COMMIT, "the shapes are still known"
