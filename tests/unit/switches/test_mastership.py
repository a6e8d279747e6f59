"""The table of mastership: which role this bridge has at a switch."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.evb.events.switch import ControllerRole, RoleShown
from ryu_apps.evb.protocol.table import ProtocolError
from ryu_apps.evb.switches.mastership import (
    Ask,
    Do,
    Learnt,
    Mastership,
    MastershipInput,
    MastershipOutput,
    MastershipState,
)

S, I = MastershipState, MastershipInput  # noqa: E741
#: Pairs that do not happen: nothing is heard of an absent switch, and only who serves none takes a new generation.
NEVER = {
    *((S.ABSENT, given) for given in I if given not in (I.CONNECTED, I.SUPERSEDED)),
    *((state, I.CONNECTED) for state in S if state is not S.ABSENT),
    *((state, I.RENEWED) for state in (S.MASTER, S.UNFENCED, S.ASIDE)),
    (S.UNFENCED, I.TICK),
}


def test_every_answer_has_a_row_in_every_state() -> None:
    missing = {pair for pair in product(S, I) if pair not in Mastership.TABLE}
    assert missing == NEVER


def at(*given: MastershipInput) -> Mastership:
    machine = Mastership()
    for each in given:
        machine.feed(each, None, 0.0)
    return machine


GRANTED = (I.CONNECTED, I.GRANTED)


def test_a_switch_is_served_when_it_has_granted_master_and_not_before() -> None:
    machine = Mastership()
    assert machine.feed(I.CONNECTED, None, 0.0) == [Ask(ControllerRole.MASTER)]
    assert not machine.serving
    assert machine.shown(RoleShown(1, ControllerRole.EQUAL, None), 1.0) == []
    assert not machine.serving
    assert machine.shown(RoleShown(1, ControllerRole.MASTER, 5), 2.0) == [Do.SERVE]
    assert machine.serving


@pytest.mark.parametrize("given", [I.DEMOTED, I.SLAVE, I.STALE])
def test_who_is_demoted_retreats_before_anything_else(given: MastershipInput) -> None:
    machine = at(*GRANTED)
    assert machine.feed(given, None, 1.0) == [Do.RETREAT, Ask(ControllerRole.NOCHANGE)]
    assert not machine.serving


def test_who_is_superseded_elsewhere_retreats_and_submits() -> None:
    assert at(*GRANTED).feed(I.SUPERSEDED, None, 1.0) == [Do.RETREAT, Ask(ControllerRole.SLAVE)]
    assert at().feed(I.SUPERSEDED, None, 1.0) == [Ask(ControllerRole.SLAVE)]


def test_a_refusal_that_is_stale_leads_to_the_question_for_the_generation() -> None:
    machine = at(I.CONNECTED)
    assert machine.feed(I.STALE, None, 1.0) == [Ask(ControllerRole.NOCHANGE)]
    assert machine.shown(RoleShown(1, ControllerRole.EQUAL, 9), 2.0) == [Learnt(9)]


@pytest.mark.parametrize(
    ("given", "role"),
    [
        ((I.CONNECTED,), ControllerRole.MASTER),
        ((*GRANTED, I.TICK), ControllerRole.NOCHANGE),
        ((I.CONNECTED, I.STALE), ControllerRole.NOCHANGE),
        ((I.SUPERSEDED,), ControllerRole.SLAVE),
    ],
)
def test_what_is_not_answered_is_asked_again(given: tuple[MastershipInput, ...], role: ControllerRole) -> None:
    machine = at(*given)
    assert machine.deadline is not None
    assert machine.feed(I.TICK, None, machine.deadline) == [Ask(role)]
    assert machine.deadline is not None


def test_a_master_looks_now_and_then_and_a_slave_rests() -> None:
    assert at(*GRANTED).deadline is not None
    assert at(I.SUPERSEDED, I.SLAVE).deadline is None


def test_a_switch_that_has_forgotten_is_asked_again_and_served_meanwhile() -> None:
    machine = at(*GRANTED)
    assert machine.feed(I.EQUAL, None, 1.0) == [Ask(ControllerRole.MASTER)]
    assert machine.serving


@given(st.lists(st.sampled_from(I), max_size=30))
def test_it_serves_only_after_a_grant_and_never_after_another_is_newer(given: list[MastershipInput]) -> None:
    machine, serves, superseded = Mastership(), False, False
    for each in given:
        outputs: list[MastershipOutput] = []
        try:
            outputs = machine.feed(each, None, 0.0)
        except ProtocolError:
            continue
        superseded |= each is I.SUPERSEDED
        if Do.SERVE in outputs:
            assert each in (I.GRANTED, I.UNSUPPORTED) and not serves and not superseded
            serves = True
        if Do.RETREAT in outputs:
            assert serves
            serves = False
        assert machine.serving == serves
        if superseded:
            assert not serves
            assert Ask(ControllerRole.MASTER) not in outputs
