"""The cluster manager behind HTTP: what was asked is remembered, and the same again comes to the same."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from webob import Request

from ryu_apps.cli.vcm_serve import MAX_BODY, Desk, Journal, JournalError
from ryu_apps.vcm.move import Do, Failed, Step
from ryu_apps.vcm.service import Service
from tests.vcm_world import Hypervisors, a_vm, two_switches

INVENTORY = two_switches([a_vm("vm1", "hv1"), a_vm("vm2", "hv1"), a_vm("vm3", "hv3")])
TEXT = "the inventory's text"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        self.now += 0.25
        return self.now


def desk(path: Path | None, clock: Callable[[], float] | None = None, text: str = TEXT) -> Desk:
    return Desk(Service(INVENTORY), Journal(path, text) if path else None, clock or Clock())


def call(desk: Desk, method: str, path: str, body: dict[str, object] | None = None) -> tuple[int, Any]:
    request = Request.blank(path, method=method, body=json.dumps(body).encode() if body is not None else b"")
    response = request.get_response(desk)
    assert response.content_type == "application/json"
    return response.status_int, response.json


def everything(desk: Desk) -> list[Any]:
    """What the service would say of itself, without asking it at another time."""
    goals = [call(desk, "GET", f"/vcm/goals/{one.number}") for one in desk.service.pursuits]
    return [call(desk, "GET", "/vcm/inventory"), *goals, desk.service.deadline]


def at_random(desk: Desk, hypervisors: Hypervisors, dice: random.Random, clock: Clock) -> None:
    """Some request that could come now, or a deadline passes."""
    open_goals = [one for one in desk.service.pursuits if one.open]
    steps = open_goals[-1].handed if open_goals else []
    match dice.randrange(6):
        case 0:
            asked = {"goal": dice.choice(["evacuate", "protect"]), "subject": dice.choice(["hv1", "hv3", "s2"])}
            call(desk, "POST", "/vcm/goals", {**asked, "delay": dice.choice([0, 30])})
        case 1:
            what = dice.choice(["halt", "use", "release"])
            call(desk, "POST", f"/vcm/goals/{len(desk.service.pursuits)}/{what}", {})
        case 2:
            clock.now += dice.choice([1.0, 15.0, 40.0])
            call(desk, "GET", "/vcm/goals")
        case _ if steps:
            first: Do = steps[0]
            event = hypervisors.perform(first, dice.random() < 0.8).event
            failure = event.reason if isinstance(event, Failed) else None
            told = {"vm": first.vm, "step": Step(first.step).value, "node": first.node, "failure": failure}
            assert call(desk, "POST", f"/vcm/goals/{open_goals[-1].number}/answers", told)[0] == 200


@pytest.mark.parametrize("seed", range(25))
def test_after_a_restart_everything_is_as_it_was(tmp_path: Path, seed: int) -> None:
    dice, clock, path = random.Random(seed), Clock(), tmp_path / "journal"
    before, hypervisors = desk(path, clock), Hypervisors(INVENTORY)
    for _ in range(60):
        at_random(before, hypervisors, dice, clock)
        if not dice.randrange(8):
            again = desk(path, clock)
            assert everything(again) == everything(before)
            before = again
    assert before.service.pursuits


def test_a_deadline_that_has_come_by_a_look_has_come_after_a_restart(tmp_path: Path) -> None:
    path, clock = tmp_path / "journal", Clock()
    first = desk(path, clock)
    call(first, "POST", "/vcm/goals", {"goal": "evacuate", "subject": "hv3"})
    clock.now += 11.0  # nobody has answered: that is a refusal
    assert [one["step"] for one in call(first, "GET", "/vcm/goals/1")[1]["steps"]] == ["reserve", "release"]
    assert everything(desk(path, clock)) == everything(first)


def test_a_line_that_was_torn_has_not_been_done(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    first = desk(path)
    call(first, "POST", "/vcm/goals", {"goal": "evacuate", "subject": "hv3"})
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"t": 1000009.0, "method": "POST", "pa')
    assert len(desk(path).service.pursuits) == 1
    assert path.read_bytes() == whole
    path.write_bytes(b'{"version": 1, "inv')
    assert desk(path).service.pursuits == []
    assert len(path.read_text(encoding="ascii").splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"version": 1, "inventory": "00"}\n', "it is of another inventory"),
        ('{"version": 2, "inventory": "00"}\n', "it is of another inventory"),
        ("version: 1\n", "it is no journal"),
        ("[]\n", "it is no journal"),
    ],
)
def test_what_is_no_journal_of_this_inventory_is_refused(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "journal").write_text(content, encoding="ascii")
    with pytest.raises(JournalError, match=words):
        desk(tmp_path / "journal")
    assert (tmp_path / "journal").read_text(encoding="ascii") == content


def test_what_cannot_be_remembered_is_not_done(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", TEXT)
    journal._file = Path("/dev/full").open("ab", buffering=0)  # noqa: SIM115 - closed with the journal
    full = Desk(Service(INVENTORY), journal, Clock())
    status, body = call(full, "POST", "/vcm/goals", {"goal": "evacuate", "subject": "hv3"})
    assert (status, body["error"]) == (503, "the journal cannot be written: No space left on device")
    assert full.service.pursuits == []


def test_a_clock_that_is_set_back_does_not_turn_anything_back() -> None:
    clock = Clock()
    one = desk(None, clock)
    call(one, "POST", "/vcm/goals", {"goal": "evacuate", "subject": "hv3"})
    deadline = one.service.deadline
    clock.now -= 5000.0
    call(one, "POST", "/vcm/goals/1/halt", {})
    story = call(one, "GET", "/vcm/goals/1")[1]["moves"][0]["story"]
    assert deadline is not None and all(note["t"] >= 1_000_000.0 for note in story)


def test_a_path_that_is_no_text_is_refused() -> None:
    assert Request.blank("/vcm/%ff").get_response(desk(None)).status_int == 400


def test_a_large_body_is_refused() -> None:
    request = Request.blank("/vcm/goals", method="POST", body=b" " * (MAX_BODY + 1))
    assert request.get_response(desk(None)).status_int == 413
