"""Answers on the coordination of components by hooks: how far each is with the steps of a VSI, and alarms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ryu_apps.nms.hooks import wants
from ryu_apps.nms.schema import HookSection
from ryu_apps.nms_server.database import Database
from ryu_apps.nms_server.step_rows import FAILED, WAITING, StepRow

#: Calls that alarms are made of.
_MOST = 1000
NOT_TOLD = "not told"


def steps_of(
    database: Database, hooks: Mapping[str, HookSection], vsi: str, bridge: str, port: str
) -> list[dict[str, Any]]:
    """Return the state of each step at each hook that wants it, for a VSI at a port of a bridge.

    ``not told``: the bridge has not reported the step since the VSI has gone from there last.
    """
    known = {(row.hook, row.step): row for row in database.steps(vsi, bridge, port)}
    return [
        _step_json(name, step, known.get((name, step)))
        for name, hook in hooks.items()
        for step in hook.steps
        if wants(hook, bridge, step)
    ]


def alarms(
    database: Database,
    hooks: Mapping[str, HookSection],
    troubles: Iterable[tuple[str, Mapping[str, str | None]]],
    now: float,
) -> list[dict[str, Any]]:
    """Return what an operator has to look at.

    Args:
        troubles: kind of alarm, and subject -> why there is one; None: there is none.
        now: Unix time in seconds.
    """
    found = [
        _alarm(kind, subject, None, reason)
        for kind, reasons in troubles
        for subject, reason in reasons.items()
        if reason is not None
    ]
    by_hook: dict[str, list[StepRow]] = {}
    for row in database.not_done(_MOST):
        if row.hook in hooks:
            by_hook.setdefault(row.hook, []).append(row)
    for name, rows in by_hook.items():
        deadline = hooks[name].deadline
        late = [row for row in rows if row.state == WAITING and now - row.told > deadline]
        given_up = [row for row in rows if row.state == FAILED]
        if late:
            words = f"{len(late)} calls later than {deadline:g} s: {late[0].error or 'not made yet'}"
            found.append(_alarm("hook.late", name, late[0].told, words))
        if given_up:
            found.append(_alarm("hook.failed", name, given_up[0].told, f"{len(given_up)} calls: {given_up[0].error}"))
    return found


def _step_json(hook: str, step: str, row: StepRow | None) -> dict[str, Any]:
    if row is None:
        return {"hook": hook, "step": step, "state": NOT_TOLD, "told": None, "ended": None, "error": None}
    return {"hook": hook, "step": step, **{name: getattr(row, name) for name in ("state", "told", "ended", "error")}}


def _alarm(kind: str, subject: str, since: float | None, words: str) -> dict[str, Any]:
    return {"alarm": kind, "subject": subject, "since": since, "words": words}
