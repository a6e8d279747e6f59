"""Tables of a move, one for each way: reserve, copy, suspend, associate, resume, let go; and back from every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from ryu_apps.evb.protocol.table import DocumentedRow, TransitionTable
from ryu_apps.vcm.move_actions import MoveActions
from ryu_apps.vcm.move_events import Do, Ladder
from ryu_apps.vcm.move_states import MoveInput, MoveState

(
    _WAITING,
    _PUSHING,
    _PROBING,
    _RESERVING,
    _STAGING,
    _RESERVED,
    _COPYING,
    _BOOTING,
    _SUSPENDING,
    _DEASSOCIATING_SOURCE,
    _ASSOCIATING,
    _ACTIVATING,
    _RESUMING,
    _CLEARING,
    _SETTLING,
    _CANCELLING,
    _RELEASING,
    _ROLLING_BACK,
    _WITHDRAWING,
    _RETURNING,
    _DONE,
    _HALTED,
    _REFUSED,
    _FAILED,
) = MoveState

_Rows = dict[tuple[MoveState, MoveInput], tuple[Callable[[MoveActions, Any, float], list[Do]], MoveState]]

#: The same on every way: until there is a reservation, from Associate to resume, and back.
_COMMON: _Rows = {
    (_WAITING, MoveInput.PUSH): (MoveActions.push, _PUSHING),
    (_PUSHING, MoveInput.DONE): (MoveActions.prepared, _WAITING),
    (_PUSHING, MoveInput.FAILED): (MoveActions.next, _WAITING),
    (_PUSHING, MoveInput.LATE): (MoveActions.unpushed, _WAITING),
    (_PUSHING, MoveInput.HALT): (MoveActions.release, _RELEASING),
    (_WAITING, MoveInput.PROBE): (MoveActions.probe, _PROBING),
    (_PROBING, MoveInput.DONE): (MoveActions.prepared, _WAITING),
    (_PROBING, MoveInput.FAILED): (MoveActions.next, _WAITING),
    (_PROBING, MoveInput.LATE): (MoveActions.release, _RELEASING),
    (_PROBING, MoveInput.HALT): (MoveActions.release, _RELEASING),
    (_WAITING, MoveInput.BEGIN): (MoveActions.reserve, _RESERVING),
    (_WAITING, MoveInput.EXHAUSTED): (MoveActions.end_refused, _REFUSED),
    (_WAITING, MoveInput.HALT): (MoveActions.end_halted, _HALTED),
    (_RESERVING, MoveInput.DONE): (MoveActions.hold, _RESERVED),
    (_RESERVING, MoveInput.FAILED): (MoveActions.next, _WAITING),
    (_RESERVING, MoveInput.LATE): (MoveActions.release, _RELEASING),
    (_RESERVING, MoveInput.HALT): (MoveActions.release, _RELEASING),
    (_RESERVING, MoveInput.AWAITED): (MoveActions.await_stage, _STAGING),
    (_STAGING, MoveInput.DONE): (MoveActions.hold_staged, _RESERVED),
    (_STAGING, MoveInput.FAILED): (MoveActions.release, _RELEASING),
    (_STAGING, MoveInput.LATE): (MoveActions.release, _RELEASING),
    (_STAGING, MoveInput.LAPSED): (MoveActions.release, _RELEASING),
    (_STAGING, MoveInput.HALT): (MoveActions.release, _RELEASING),
    (_RESERVED, MoveInput.LAPSED): (MoveActions.next, _WAITING),
    (_RESERVED, MoveInput.HALT): (MoveActions.release, _RELEASING),
    # The way back of what has not been suspended.
    (_CANCELLING, MoveInput.DONE): (MoveActions.release, _RELEASING),
    (_CANCELLING, MoveInput.FAILED): (MoveActions.release, _RELEASING),
    (_CANCELLING, MoveInput.HALT): (MoveActions.remember, _CANCELLING),
    (_RELEASING, MoveInput.DONE): (MoveActions.back, _WAITING),
    (_RELEASING, MoveInput.FAILED): (MoveActions.back, _WAITING),
    (_RELEASING, MoveInput.HALT): (MoveActions.remember, _RELEASING),
    # Associate is the one trigger.
    (_ASSOCIATING, MoveInput.DONE): (MoveActions.resume, _RESUMING),
    (_ASSOCIATING, MoveInput.FAILED): (MoveActions.release, _WITHDRAWING),
    (_ASSOCIATING, MoveInput.LATE): (MoveActions.release, _WITHDRAWING),
    (_ASSOCIATING, MoveInput.HALT): (MoveActions.remember, _ROLLING_BACK),
    (_ASSOCIATING, MoveInput.AWAITED): (MoveActions.await_activate, _ACTIVATING),
    (_ACTIVATING, MoveInput.DONE): (MoveActions.resume, _RESUMING),
    (_ACTIVATING, MoveInput.FAILED): (MoveActions.release, _WITHDRAWING),
    (_ACTIVATING, MoveInput.LATE): (MoveActions.release, _WITHDRAWING),
    (_ACTIVATING, MoveInput.HALT): (MoveActions.remember, _ROLLING_BACK),
    (_RESUMING, MoveInput.FAILED): (MoveActions.release, _WITHDRAWING),
    (_RESUMING, MoveInput.HALT): (MoveActions.too_late, _RESUMING),
    # The VM is there: what components are late with is said, and changes nothing.
    (_SETTLING, MoveInput.DONE): (MoveActions.finish, _DONE),
    (_SETTLING, MoveInput.FAILED): (MoveActions.finish, _DONE),
    (_SETTLING, MoveInput.LATE): (MoveActions.finish, _DONE),
    (_SETTLING, MoveInput.HALT): (MoveActions.too_late, _SETTLING),
    # The way back of what has been suspended, or booted.
    (_ROLLING_BACK, MoveInput.DONE): (MoveActions.release, _WITHDRAWING),
    (_ROLLING_BACK, MoveInput.FAILED): (MoveActions.release, _WITHDRAWING),
    (_ROLLING_BACK, MoveInput.LATE): (MoveActions.release, _WITHDRAWING),
    (_ROLLING_BACK, MoveInput.HALT): (MoveActions.stay, _ROLLING_BACK),
    (_WITHDRAWING, MoveInput.DONE): (MoveActions.put_back, _RETURNING),
    (_WITHDRAWING, MoveInput.FAILED): (MoveActions.put_back, _RETURNING),
    (_WITHDRAWING, MoveInput.HALT): (MoveActions.remember, _WITHDRAWING),
    (_RETURNING, MoveInput.DONE): (MoveActions.back, _WAITING),
    (_RETURNING, MoveInput.FAILED): (MoveActions.try_again, _RETURNING),
    (_RETURNING, MoveInput.LATE): (MoveActions.put_back, _RETURNING),
    (_RETURNING, MoveInput.FAILED_AGAIN): (MoveActions.end_failed, _FAILED),
    (_RETURNING, MoveInput.HALT): (MoveActions.remember, _RETURNING),
    **{(end, MoveInput.HALT): (MoveActions.stay, end) for end in (_DONE, _HALTED, _REFUSED, _FAILED)},
}

#: A living VM, until it is suspended.
_ALIVE: _Rows = {
    (_RESERVED, MoveInput.START): (MoveActions.copy, _COPYING),
    (_COPYING, MoveInput.DONE): (MoveActions.suspend, _SUSPENDING),
    (_COPYING, MoveInput.FAILED): (MoveActions.release, _RELEASING),
    (_COPYING, MoveInput.LAPSED): (MoveActions.cancel, _CANCELLING),
    (_COPYING, MoveInput.HALT): (MoveActions.cancel, _CANCELLING),
    (_SUSPENDING, MoveInput.FAILED): (MoveActions.release, _WITHDRAWING),
    (_SUSPENDING, MoveInput.HALT): (MoveActions.remember, _ROLLING_BACK),
}

#: The destination associates the moment it has the last pages; the source de-associates afterwards.
_MINIMIZE_LATENCY: _Rows = {
    (_SUSPENDING, MoveInput.DONE): (MoveActions.associate, _ASSOCIATING),
    (_RESUMING, MoveInput.DONE): (MoveActions.let_go, _CLEARING),
    (_CLEARING, MoveInput.AWAITED): (MoveActions.await_release, _SETTLING),
    (_CLEARING, MoveInput.DONE): (MoveActions.finish, _DONE),
    (_CLEARING, MoveInput.FAILED): (MoveActions.finish, _DONE),
    (_CLEARING, MoveInput.HALT): (MoveActions.too_late, _CLEARING),
}

#: The source has de-associated, confirmed, before the destination associates: never two owners.
_SAFEST_EXCHANGE: _Rows = {
    (_SUSPENDING, MoveInput.DONE): (MoveActions.let_go, _DEASSOCIATING_SOURCE),
    (_DEASSOCIATING_SOURCE, MoveInput.DONE): (MoveActions.associate, _ASSOCIATING),
    (_DEASSOCIATING_SOURCE, MoveInput.FAILED): (MoveActions.release, _WITHDRAWING),
    (_DEASSOCIATING_SOURCE, MoveInput.HALT): (MoveActions.remember, _ROLLING_BACK),
    (_RESUMING, MoveInput.AWAITED): (MoveActions.await_release, _SETTLING),
    (_RESUMING, MoveInput.DONE): (MoveActions.finish, _DONE),
}

#: The source is dead, or dies in the middle of it.
_RESTART: _Rows = {
    (_RESERVED, MoveInput.START): (MoveActions.boot, _BOOTING),
    (_BOOTING, MoveInput.DONE): (MoveActions.associate, _ASSOCIATING),
    (_BOOTING, MoveInput.FAILED): (MoveActions.release, _WITHDRAWING),
    (_BOOTING, MoveInput.HALT): (MoveActions.remember, _ROLLING_BACK),
    (_RESUMING, MoveInput.DONE): (MoveActions.finish, _DONE),
    # It starts when it is its turn.
    (_RESERVED, MoveInput.LOST): (MoveActions.forget_source, _RESERVED),
    (_COPYING, MoveInput.LOST): (MoveActions.forget_source, _RESERVED),
    # It is not known whether all of the last pages have come.
    (_SUSPENDING, MoveInput.LOST): (MoveActions.release, _WITHDRAWING),
    # They have.
    (_DEASSOCIATING_SOURCE, MoveInput.LOST): (MoveActions.associate, _ASSOCIATING),
    (_CLEARING, MoveInput.LOST): (MoveActions.finish, _DONE),
    (_SETTLING, MoveInput.LOST): (MoveActions.finish, _DONE),
    (_RETURNING, MoveInput.LOST): (MoveActions.put_back, _RETURNING),
    **{
        (state, MoveInput.LOST): (MoveActions.stay, state)
        for state in (
            _WAITING,
            _PUSHING,
            _PROBING,
            _RESERVING,
            _STAGING,
            _CANCELLING,
            _RELEASING,
            _ASSOCIATING,
            _ACTIVATING,
            _RESUMING,
            _ROLLING_BACK,
            _WITHDRAWING,
        )
    },
}

TABLES: dict[Ladder, TransitionTable[MoveActions, MoveState, MoveInput, Do]] = {
    Ladder.MINIMIZE_LATENCY: TransitionTable("move, minimize latency", {**_COMMON, **_ALIVE, **_MINIMIZE_LATENCY}),
    Ladder.SAFEST_EXCHANGE: TransitionTable("move, safest exchange", {**_COMMON, **_ALIVE, **_SAFEST_EXCHANGE}),
    Ladder.RESTART: TransitionTable("move, source dead", {**_COMMON, **_RESTART}),
}


def documented_rows() -> Iterator[DocumentedRow]:
    """The tables in words, rows that several ways have in common once."""
    parts = (
        ("", _COMMON),
        ("", _ALIVE),
        (Ladder.MINIMIZE_LATENCY.value, _MINIMIZE_LATENCY),
        (Ladder.SAFEST_EXCHANGE.value, _SAFEST_EXCHANGE),
        ("source dead", _RESTART),
    )
    for words, rows in parts:
        for row in TransitionTable[MoveActions, MoveState, MoveInput, Do](words, rows).rows():
            yield replace(row, input=f"{row.input} ({words})") if words else row
