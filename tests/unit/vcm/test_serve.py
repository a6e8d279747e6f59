"""The cluster manager behind HTTP: what was asked is remembered, and the same again comes to the same."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from webob import Request

from ryu_apps import vcm_server
from ryu_apps.rest.callers import MAX_BODY
from ryu_apps.vcm.bridge_answers import BridgeAnswers
from ryu_apps.vcm.move_events import StepFailed
from ryu_apps.vcm.plans import Goal, GoalKind
from ryu_apps.vcm.service import ManagerService
from ryu_apps.vcm.triggers import Condition, OperatorPolicy
from ryu_apps.vcm_server import JournalError, ManagerApplication, RequestJournal
from tests.unit.vcm.test_bridge_room import answers, switch
from tests.worlds.vcm import Hypervisors, a_vm, two_switches

INVENTORY = two_switches([a_vm("vm1", "hv1"), a_vm("vm2", "hv1"), a_vm("vm3", "hv3")])
TEXT = "the inventory's text"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        self.now += 0.25
        return self.now


def desk(path: Path | None, clock: Callable[[], float] | None = None, text: str = TEXT) -> ManagerApplication:
    return ManagerApplication(ManagerService(INVENTORY), RequestJournal(path, text) if path else None, clock or Clock())


def close(one: ManagerApplication) -> None:
    """As the end of its process does."""
    if one._journal is not None:
        one._journal._file.close()


def restarted(one: ManagerApplication, path: Path, clock: Clock) -> ManagerApplication:
    close(one)
    return desk(path, clock)


def call(desk: ManagerApplication, method: str, path: str, body: dict[str, object] | None = None) -> tuple[int, Any]:
    octets = json.dumps(body).encode() if body is not None else b""
    request = Request.blank(path, method=method, body=octets, content_type="application/json")
    response = request.get_response(desk)
    assert response.content_type == "application/json"
    return response.status_int, response.json


def everything(desk: ManagerApplication) -> list[Any]:
    """State of the service, read without another request."""
    goals = [call(desk, "GET", f"/vcm/goals/{pursuit.number}") for pursuit in desk.service.pursuits]
    return [call(desk, "GET", "/vcm/inventory"), *goals]


def at_random(desk: ManagerApplication, hypervisors: Hypervisors, dice: random.Random, clock: Clock) -> None:
    """Some request that could come now, or a deadline passes."""
    open_goals = [pursuit for pursuit in desk.service.pursuits if pursuit.open]
    steps = list(open_goals[-1].handed.items()) if open_goals else []
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
            number, first = steps[0]
            event = hypervisors.perform(first, dice.random() < 0.8).event
            failure = event.reason if isinstance(event, StepFailed) else None
            told = {"step": number, "failure": failure, "vid": (None, 100, 200)[number % 3]}
            assert call(desk, "POST", f"/vcm/goals/{open_goals[-1].number}/answers", told)[0] == 200


@pytest.mark.parametrize("seed", range(25))
def test_after_a_restart_everything_is_as_it_was(tmp_path: Path, seed: int) -> None:
    dice, clock, path = random.Random(seed), Clock(), tmp_path / "journal"
    before, hypervisors = desk(path, clock), Hypervisors(INVENTORY)
    for _ in range(60):
        at_random(before, hypervisors, dice, clock)
        if not dice.randrange(8):
            expected = everything(before)
            again = restarted(before, path, clock)
            assert everything(again) == expected
            # A restart is remembered as everything else is.
            deadline, standing = again.service.deadline, Clock()
            standing.now = clock.now
            close(again)
            before = desk(path, standing)
            assert everything(before) == expected and (before.service.deadline or 0) >= (deadline or 0)
            before._clock = clock
    assert before.service.pursuits


def test_a_deadline_that_has_come_by_a_look_has_come_after_a_restart(tmp_path: Path) -> None:
    path, clock = tmp_path / "journal", Clock()
    first = desk(path, clock)
    call(first, "POST", "/vcm/goals", {"goal": "evacuate", "subject": "hv3"})
    clock.now += 11.0  # nobody has answered: that is a refusal
    assert [step["step"] for step in call(first, "GET", "/vcm/goals/1")[1]["steps"]] == ["reserve", "release"]
    expected = everything(first)
    assert everything(restarted(first, path, clock)) == expected


def test_a_bridge_is_not_late_while_no_manager_runs(tmp_path: Path) -> None:
    path, clock = tmp_path / "journal", Clock()
    manager = desk(path, clock)
    call(manager, "POST", "/vcm/goals", {"goal": "evacuate", "subject": "hv3"})
    for _ in range(2):  # the second restart reads the first one
        clock.now += 9.0
        close(manager)
        clock.now += 60.0
        manager = desk(path, clock)
        assert [step["step"] for step in call(manager, "GET", "/vcm/goals/1")[1]["steps"]] == ["reserve"]
    clock.now += 11.0
    assert [step["step"] for step in call(manager, "GET", "/vcm/goals/1")[1]["steps"]] == ["reserve", "release"]


def test_a_restart_that_cannot_be_remembered_gives_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, clock = tmp_path / "journal", Clock()
    first = desk(path, clock)
    call(first, "POST", "/vcm/goals", {"goal": "evacuate", "subject": "hv3"})
    deadline = first.service.deadline
    close(first)
    with monkeypatch.context() as broken:
        broken.setattr("os.fsync", fails)
        assert desk(path, clock).service.deadline == deadline


def test_a_line_that_was_torn_has_not_been_done(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    first = desk(path)
    call(first, "POST", "/vcm/goals", {"goal": "evacuate", "subject": "hv3"})
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"t": 1000009.0, "method": "POST", "pa')
    second = restarted(first, path, Clock())
    assert len(second.service.pursuits) == 1
    rest = path.read_bytes().removeprefix(whole)
    assert json.loads(rest) == {"t": second._last, "method": "", "path": "restarted", "body": ""}
    path.write_bytes(whole[:20])
    third = restarted(second, path, Clock())
    assert third.service.pursuits == [] and len(path.read_text(encoding="ascii").splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"version": 1, "inventory": "00"}\n', "it is no journal of this inventory"),
        ("version: 1\nname: two-switch", "it is no journal of this inventory"),
        ("a line without an end", "it is no journal of this inventory"),
        ("HEAD{}\n", "it is damaged: 't'"),
        ('HEAD{"t": 1, "method": 1, "path": "", "body": ""}\n', "it is damaged: not a request"),
        ("HEADnothing\n", "it is damaged"),
    ],
)
def test_what_is_no_journal_of_this_inventory_is_refused_and_left_alone(
    tmp_path: Path, content: str, words: str
) -> None:
    RequestJournal(tmp_path / "head", TEXT)
    head = (tmp_path / "head").read_text(encoding="ascii")
    (tmp_path / "journal").write_text(content := content.replace("HEAD", head), encoding="ascii")
    with pytest.raises(JournalError, match=words):
        desk(tmp_path / "journal")
    assert (tmp_path / "journal").read_text(encoding="ascii") == content


def test_a_journal_is_one_managers(tmp_path: Path) -> None:
    first = desk(tmp_path / "journal")
    with pytest.raises(JournalError, match="another manager uses it"):
        desk(tmp_path / "journal")
    close(first)
    desk(tmp_path / "journal")


class Faulty:
    """A file on a disk that is full, or out of order, for a while."""

    def __init__(self, file: Any, room: int) -> None:
        self._file, self.room = file, room

    def write(self, octets: bytes) -> int:
        written: int = self._file.write(octets[: self.room])
        return written

    def fileno(self) -> int:
        number: int = self._file.fileno()
        return number


@pytest.mark.parametrize("fault", ["short write", "fsync"])
def test_what_cannot_be_remembered_is_not_done_now_nor_after_a_restart(
    tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    journal = RequestJournal(path, TEXT)
    one = ManagerApplication(ManagerService(INVENTORY), journal, Clock())
    asked: dict[str, object] = {"goal": "evacuate", "subject": "hv3"}
    file = journal._file
    with monkeypatch.context() as broken:
        if fault == "fsync":
            broken.setattr("os.fsync", fails)
        else:
            journal._file = Faulty(file, 20)  # type: ignore[assignment]
        status, body = call(one, "POST", "/vcm/goals", asked)
        assert status == 503 and body["error"].startswith("the journal cannot be written: ")
        assert one.service.pursuits == []
    journal._file = file
    assert call(one, "POST", "/vcm/goals", asked)[0] == 201
    expected = everything(one)
    assert everything(restarted(one, path, Clock())) == expected


def fails(descriptor: int) -> None:
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/vcm/goals"), ("DELETE", "/vcm/goals"), ("POST", "/vcm"), ("TICK", "/vcm/goals"), ("", "/")],
)
def test_only_what_may_change_something_is_remembered(tmp_path: Path, method: str, path: str) -> None:
    one = desk(tmp_path / "journal")
    before = (tmp_path / "journal").read_bytes()
    call(one, method, path)
    assert (tmp_path / "journal").read_bytes() == before


def test_a_clock_that_is_set_back_does_not_turn_anything_back() -> None:
    clock = Clock()
    one = desk(None, clock)
    call(one, "POST", "/vcm/goals", {"goal": "evacuate", "subject": "hv3"})
    deadline = one.service.deadline
    clock.now -= 5000.0
    call(one, "POST", "/vcm/goals/1/halt", {})
    story = call(one, "GET", "/vcm/goals/1")[1]["moves"][0]["story"]
    assert deadline is not None and all(note["t"] >= 1_000_000.0 for note in story)


def test_a_path_or_a_body_that_is_no_text_is_refused_and_not_remembered(tmp_path: Path) -> None:
    one = desk(tmp_path / "journal")
    before = (tmp_path / "journal").read_bytes()
    assert Request.blank("/vcm/%ff").get_response(one).status_int == 400
    request = Request.blank("/vcm/goals", method="POST", body=b'{"goal": "caf\xe9"}', content_type="application/json")
    assert request.get_response(one).status_int == 400
    assert (tmp_path / "journal").read_bytes() == before


def test_a_body_in_pieces_is_refused_and_not_taken_for_none() -> None:
    headers = {"Transfer-Encoding": "chunked", "Content-Type": "application/json"}
    request = Request.blank("/vcm/goals/1/release", method="POST", headers=headers)
    assert request.get_response(desk(None)).status_int == 411


def test_a_large_body_is_refused() -> None:
    request = Request.blank("/vcm/goals", method="POST", body=b" " * (MAX_BODY + 1), content_type="application/json")
    assert request.get_response(desk(None)).status_int == 413


# --- a journal that is begun anew ---
def finished(served: ManagerApplication, number: int) -> None:
    """Answer every step of a goal."""
    while (goal := call(served, "GET", f"/vcm/goals/{number}")[1])["steps"]:
        call(served, "POST", f"/vcm/goals/{number}/answers", {"step": goal["steps"][0]["id"]})


def test_a_journal_is_begun_anew_when_no_goal_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vcm_server, "COMPACT_FROM", 600)
    path, clock = tmp_path / "journal", Clock()
    served = desk(path, clock)
    call(served, "POST", "/vcm/goals", {"goal": "fail-over", "subject": "hv1"})
    for _ in range(10):
        call(served, "POST", "/vcm/goals/1/answers", {"step": 99})
    assert path.stat().st_size > 600, "a goal is open"
    finished(served, 1)
    before = call(served, "GET", "/vcm/inventory")
    assert path.read_bytes().count(b"\n") == 2
    assert call(served, "GET", "/vcm/goals/1")[0] == 200, "until the next restart"
    again = restarted(served, path, clock)
    assert call(again, "GET", "/vcm/inventory") == before
    assert again.service.dead == {"hv1"}
    assert call(again, "GET", "/vcm/goals/1") == (
        404,
        {"error": "goal 1 is over, and not in the journal any more"},
    )
    assert call(again, "POST", "/vcm/goals", {"goal": "evacuate", "subject": "hv3"})[1]["id"] == 2
    finished(again, 2)
    close(again)


def test_a_journal_that_cannot_be_begun_anew_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vcm_server, "COMPACT_FROM", 0)
    path = tmp_path / "journal"
    (tmp_path / "journal.new").mkdir()
    served = desk(path)
    call(served, "POST", "/vcm/goals", {"goal": "evacuate", "subject": "hv1"})
    finished(served, 1)
    before = call(served, "GET", "/vcm/inventory")
    again = restarted(served, path, Clock())
    assert call(again, "GET", "/vcm/inventory") == before
    close(again)


def test_a_journal_that_was_begun_anew_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vcm_server, "COMPACT_FROM", 0)
    path = tmp_path / "journal"
    served = desk(path)
    call(served, "PUT", "/vcm/nodes/hv1", {"alive": True})
    with pytest.raises(JournalError, match="another manager uses it"):
        RequestJournal(path, TEXT)
    close(served)


# --- a bridge that is asked ---
def test_the_bridge_is_asked_before_a_goal_and_after_a_refusal_and_its_answers_outlive_the_manager(
    tmp_path: Path,
) -> None:
    path, clock = tmp_path / "journal", Clock()
    said: list[BridgeAnswers | None] = [answers(switch("s2")), answers(switch("s2", left=1)), None]

    def served(ask: bool) -> ManagerApplication:
        journal = RequestJournal(path, TEXT)
        return ManagerApplication(ManagerService(INVENTORY), journal, clock, ask=(lambda: said.pop(0)) if ask else None)

    def candidates(one: ManagerApplication) -> set[str]:
        return {found["node"] for found in call(one, "GET", "/vcm/vms/vm1/places")[1]["candidates"]}

    first = served(ask=True)
    assert (candidates(first), len(said)) == ({"hv2", "hv3", "hv4"}, 3), "a question asks nothing"
    goal = call(first, "POST", "/vcm/goals", {"goal": "evacuate", "subject": "hv1", "parallel": 1})[1]
    assert len(said) == 2 and [(step["step"], step["node"]) for step in goal["steps"]] == [("reserve", "hv2")]
    goal = call(first, "POST", "/vcm/goals/1/answers", {"step": 1, "failure": "no rules"})[1]
    assert len(said) == 1
    refused, reserving = goal["moves"]
    # vm1 was refused at hv2, and there is no room elsewhere: vm3, which is to be at hv3, brings the rules of the type.
    assert refused["state"] == "refused" and "hv4: s2 has 0 rules left, 10 are needed" in refused["story"][-1]["text"]
    assert (reserving["state"], reserving["node"]) == ("reserving", "hv2")
    before = everything(first)
    close(first)
    again = served(ask=False)
    assert everything(again) == before and candidates(again) == {"hv2"}
    close(again)
    last = served(ask=True)
    finished(last, 1)
    call(last, "POST", "/vcm/goals", {"goal": "evacuate", "subject": "hv3"})
    assert said == [] and candidates(last) == {"hv2", "hv3", "hv4"}, "one that does not answer limits nothing"
    close(last)


def test_a_policy_looks_at_the_rules_that_the_bridge_has_left() -> None:
    said = [answers(switch("s2", left=10)), answers(switch("s2", left=9))]
    policy = OperatorPolicy("full", Condition(rules_left_below=10, of="s2"), Goal(GoalKind.EVACUATE, "s2"))
    served = ManagerApplication(ManagerService(INVENTORY, [policy]), None, Clock(), ask=lambda: said.pop(0))
    for goals in ([], ["evacuate s2"]):
        assert call(served, "POST", "/vcm/observations", {})[0] == 200
        assert [goal["goal"] for goal in call(served, "GET", "/vcm/goals")[1]] == goals
