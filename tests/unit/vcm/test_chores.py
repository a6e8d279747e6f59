"""``evbridge vcm serve`` between requests: descriptors are acquired anew, and components are waited for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ryu_apps import vcm_server
from ryu_apps.rest_daemon import Chore, go_on
from ryu_apps.vcm.acquired import acquired_of
from ryu_apps.vcm.inventory import Inventory
from ryu_apps.vcm.move_events import Coordination
from ryu_apps.vcm.service import ManagerService
from ryu_apps.vcm_chores import AcquiredDescriptors, ComponentChore, DescriptorChore
from ryu_apps.vcm_server import ManagerApplication, RequestJournal
from tests.unit.vcm.test_serve import TEXT, Clock, call, close, finished
from tests.worlds.vcm import a_vm, two_switches


def described(type_id: int, mac: str = "52:54:00:00:00:01") -> Inventory:
    face = replace(a_vm("vm1", "hv1").interface, type_id=type_id, mac=mac)
    return two_switches([a_vm("vm1", "hv1", interface=face, ovf=f"<{type_id}>"), a_vm("vm2", "hv3")])


def served(path: Path, inventory: Inventory, clock: Clock) -> ManagerApplication:
    """As ``evbridge vcm serve`` begins."""
    application = ManagerApplication(ManagerService(inventory), RequestJournal(path, TEXT), clock)
    application.acquire(acquired_of(inventory))
    return application


def shown(application: ManagerApplication) -> tuple[str, int]:
    (vm, *_) = [vm for vm in call(application, "GET", "/vcm/inventory")[1]["vms"] if vm["vm"] == "vm1"]
    return call(application, "GET", "/vcm/vms/vm1/ovf")[1]["ovf"], vm["interfaces"][0]["type_id"]


@pytest.mark.parametrize("compact_from", [0, 1 << 20])
def test_a_changed_descriptor_is_that_of_the_next_goal_and_outlives_the_manager(
    tmp_path: Path, compact_from: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(vcm_server, "COMPACT_FROM", compact_from)
    path, clock = tmp_path / "journal", Clock()
    first = served(path, described(1), clock)
    found: Iterator[AcquiredDescriptors] = iter(
        [
            AcquiredDescriptors(acquired_of(described(7))),
            AcquiredDescriptors({}, "vm.ovf:3: mistake"),
            AcquiredDescriptors({}, "vm.ovf:3: mistake"),
            AcquiredDescriptors(acquired_of(described(8, "52:54:00:00:00:09"))),
            AcquiredDescriptors(acquired_of(described(7))),
        ]
    )
    chore = DescriptorChore(first, lambda: next(found)).chore(60.0)
    call(first, "POST", "/vcm/goals", {"goal": "evacuate", "subject": "hv1"})
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            chore.tell(chore.ask(chore.prepare()))
    assert [record.getMessage() for record in caplog.records] == [
        "descriptors have changed: they are pushed from the next goal on",
        "descriptors are as before: vm.ovf:3: mistake",
        "descriptors are as before: vm1: another MAC address, VSIID or number of adapters, and the VM may run",
    ]
    assert shown(first) == ("<1>", 1), "a goal is open"
    finished(first, 1)
    call(first, "POST", "/vcm/goals", {"goal": "evacuate", "subject": "hv2"})
    assert shown(first) == ("<7>", 7)
    finished(first, 2)
    places = call(first, "GET", "/vcm/inventory")[1]["nodes"]
    close(first)
    # The files are at the third version when the manager is back.
    again = served(path, described(9), clock)
    assert shown(again) == ("<9>", 9)
    assert call(again, "GET", "/vcm/inventory")[1]["nodes"] == places
    close(again)


def test_steps_before_a_descriptor_changed_are_replayed_as_they_were(tmp_path: Path) -> None:
    path, clock = tmp_path / "journal", Clock()
    first = served(path, described(1), clock)
    goal = call(first, "POST", "/vcm/goals", {"goal": "evacuate", "subject": "hv1"})
    close(first)
    again = served(path, replace(described(1), vms={**described(1).vms, "vm1": a_vm("vm1", "hv1")}), clock)
    assert [step["step"] for step in goal[1]["steps"]] == ["push"], "it had a descriptor"
    assert call(again, "GET", "/vcm/goals/1")[1]["steps"] == goal[1]["steps"]
    close(again)


# --- components ---
COORDINATION = Coordination("rack1", frozenset({"stage", "release"}), 20.0)


class Nms:
    """An NMS with one hook, and a bridge whose ports it knows."""

    def __init__(self) -> None:
        self.state, self.asked, self.now = "waiting", list[str](), 0.0
        self.broken = False
        self.stations: Any = {f"hv{number}": str(number) for number in range(1, 5)}

    def ask(self, path: str) -> Any:
        if self.broken:
            raise OSError("refused")
        self.asked.append(path)
        step = "stage" if "port=4" in path else "release"
        return [{"hook": "vlans", "step": step, "state": self.state, "error": None}]

    def ports(self) -> dict[str, str]:
        return {name: self.stations[name] for name in self.stations}


def round_of(chore: ComponentChore) -> None:
    awaited = chore.prepare()
    if awaited is not None:
        chore.tell(chore.ask(awaited))


def waiting() -> tuple[ManagerApplication, Nms, ComponentChore]:
    """A manager whose VM is reserved at hv4."""
    inventory = replace(two_switches([a_vm("vm1", "hv1")]), coordination=COORDINATION)
    application, nms = ManagerApplication(ManagerService(inventory), None, Clock()), Nms()
    chore = ComponentChore(application, COORDINATION, nms.ask, nms.ports, lambda: nms.now)
    assert chore.prepare() is None, "no goal yet"
    call(application, "POST", "/vcm/goals", {"goal": "evacuate", "subject": "s1"})
    for node in ("hv3", "hv4"):
        (step,) = call(application, "GET", "/vcm/goals/1")[1]["steps"]
        if step["node"] == "hv3":
            call(application, "POST", "/vcm/goals/1/answers", {"step": step["id"], "failure": "no room"})
        else:
            call(application, "POST", "/vcm/goals/1/answers", {"step": step["id"]})
        assert step["node"] == node
    return application, nms, chore


def steps(application: ManagerApplication) -> list[str]:
    return [step["step"] for step in call(application, "GET", "/vcm/goals/1")[1]["steps"]]


def test_manager_goes_on_when_the_components_are_ready() -> None:
    application, nms, chore = waiting()
    assert steps(application) == ["await stage"]
    round_of(chore)
    assert steps(application) == ["await stage"] and nms.asked == ["/nms/vsis/vsi-vm1/steps?bridge=rack1&port=4"]
    nms.state = "done"
    round_of(chore)
    assert steps(application) == ["copy"]
    while steps(application) != ["await release"]:
        for step in call(application, "GET", "/vcm/goals/1")[1]["steps"]:
            call(application, "POST", "/vcm/goals/1/answers", {"step": step["id"]})
    round_of(chore)
    assert nms.asked[-1] == "/nms/vsis/vsi-vm1/steps?bridge=rack1&port=1", "at the source"
    assert not call(application, "GET", "/vcm/goals/1")[1]["open"]


@pytest.mark.parametrize(
    ("state", "broken", "later", "reason"),
    [
        ("failed", False, 0.0, "not ready: vlans stage failed"),
        ("waiting", False, 21.0, "not ready within 20 s: vlans stage waiting"),
        ("waiting", True, 21.0, "not ready within 20 s: the NMS does not answer: refused"),
    ],
)
def test_a_component_that_has_given_up_or_is_late_costs_the_reservation(
    state: str, broken: bool, later: float, reason: str
) -> None:
    application, nms, chore = waiting()
    round_of(chore)
    assert steps(application) == ["await stage"]
    nms.state, nms.broken, nms.now = state, broken, later
    round_of(chore)
    (step,) = call(application, "GET", "/vcm/goals/1")[1]["steps"]
    assert step["step"] == "release"
    call(application, "POST", "/vcm/goals/1/answers", {"step": step["id"]})
    (move,) = call(application, "GET", "/vcm/goals/1")[1]["moves"]
    assert any(reason in note["text"] for note in move["story"]), move["story"]


@pytest.mark.parametrize("stations", [None, ["hv4"], 7])
def test_bridge_that_does_not_answer_as_one_does_is_asked_again(stations: object) -> None:
    application, nms, chore = waiting()
    nms.stations, nms.state, ports = stations, "done", nms.stations
    round_of(chore)
    assert steps(application) == ["await stage"]
    nms.stations = ports
    round_of(chore)
    assert steps(application) == ["copy"]
    assert nms.asked == ["/nms/vsis/vsi-vm1/steps?bridge=rack1&port=4"]


def test_round_that_fails_ends_no_chore(caplog: pytest.LogCaptureFixture) -> None:
    class Over(Exception):
        """The test ends."""

    pauses, told = list[float](), list[int]()

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 6:
            raise Over

    rounds = iter([0, 1, None, 2])
    chore = Chore(0.2, lambda: next(rounds, 3), lambda asked: 6 // asked, told.append)
    with pytest.raises(Over):
        go_on(chore, sleep, lambda function, *arguments: function(*arguments))
    assert told == [6, 3, 2]
    assert pauses == [0.2, 10.0, 0.2, 0.2, 0.2, 0.2]
    assert [record.getMessage() for record in caplog.records] == ["in the work between requests"]
