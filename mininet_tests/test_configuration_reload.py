"""evbridge.yaml read again under a cluster: VMs that do not move lose nothing, whatever is changed or refused."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
import yaml

from ryu_apps.testbed.faults.rig import Rig, RigVm
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.harness.station import VdptoolMode

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

VM = RigVm("reloaded", 71)
LIMIT = 60.0
#: A change of the file as a value.
Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with inside(), Rig(tmp_path_factory.mktemp("reload")) as rig:
        yield rig
        rig.write("reload")


@pytest.fixture(autouse=True)
def original(rig: Rig) -> Iterator[None]:
    """The file as it was, in force, behind each test."""
    before = file_of(rig).read_text()
    yield
    file_of(rig).write_text(before)
    rig.tidy(VM)
    assert reload(rig)[0] == 200


def file_of(rig: Rig) -> Path:
    return rig.cluster.folder / "evbridge.yaml"


def change(rig: Rig, *changes: Change) -> None:
    content = yaml.safe_load(file_of(rig).read_text())
    for made in changes:
        made(content)
    file_of(rig).write_text(yaml.safe_dump(content, sort_keys=False))


def without(hypervisor: str) -> Change:
    def remove(content: dict[str, Any]) -> None:
        for dp in content["dps"].values():
            for number, port in list(dp["interfaces"].items()):
                if port["name"] == hypervisor:
                    del dp["interfaces"][number]

    return remove


def with_timers(hypervisor: str, **timers: int) -> Change:
    def set_timers(content: dict[str, Any]) -> None:
        for dp in content["dps"].values():
            for port in dp["interfaces"].values():
                if port["name"] == hypervisor:
                    port["timers"] = timers

    return set_timers


def reload(rig: Rig) -> tuple[int, dict[str, Any]]:
    try:
        return 200, rig.controller.post("/evb/reload")
    except HTTPError as refused:
        return refused.code, json.load(refused)


def ready(rig: Rig) -> None:
    wait_until(lambda: not rig.alarms(), "no alarm", LIMIT)
    rig.controller.wait_connected(2, LIMIT)


def station(rig: Rig, hypervisor: str) -> dict[str, Any] | None:
    return next((found for found in rig.controller.get("/evb/stations") if found["name"] == hypervisor), None)


def test_a_port_that_is_taken_out_serves_nobody_and_one_that_is_added_does(rig: Rig) -> None:
    whole = file_of(rig).read_text()
    with rig.restored(), rig.unharmed("a port is taken out of evbridge.yaml, and added again"):
        change(rig, without("hv1"))
        status, answer = reload(rig)
        assert status == 200 and answer["switches"] == 2 and answer["types"] > 0
        ready(rig)
        assert station(rig, "hv1") is None
        rig.ask("hv1", VdptoolMode.ASSOCIATE, VM)
        # An answer to a station at the other switch comes behind the one that hv1 does not get.
        rig.admit(VM, "hv5")
        assert rig.places(VM) == ["hv5"]
        file_of(rig).write_text(whole)
        os.kill(rig.controller.pid, signal.SIGHUP)
        wait_until(lambda: station(rig, "hv1") is not None, "the port", LIMIT)
        rig.admit(VM, "hv1")
        assert rig.places(VM) == ["hv1"]
        rig.dismiss(VM, "hv1", "hv5")


def test_timers_are_agreed_anew(rig: Rig) -> None:
    with rig.unharmed("the timers of a port change"):
        change(rig, with_timers("hv3", rwd=22, rka=24))
        assert reload(rig)[0] == 200

        def agreed() -> bool:
            found = station(rig, "hv3")
            return found is not None and found["timers"]["rka"] == 24 and found["evb"] == "agreed"

        wait_until(agreed, "timers", LIMIT)


def test_what_is_staged_is_activated_behind_a_reload(rig: Rig) -> None:
    with rig.restored(), rig.unharmed("evbridge.yaml changes between Pre-Associate and Associate"):
        rig.admit(VM, "hv1")
        rig.granted("hv5", VdptoolMode.PREASSOCIATE_RR, VM)
        change(rig, with_timers("hv5", rwd=22, rka=24))
        assert reload(rig)[0] == 200
        assert rig.places(VM) == ["hv1"] and rig.attached(VM) == ["hv1", "hv5"]
        ready(rig)
        rig.granted("hv5", VdptoolMode.ASSOCIATE, VM)
        assert rig.places(VM) == ["hv5"]
        rig.dismiss(VM, "hv1", "hv5")


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (without("hv3"), "port 0000000000000001:3 (hv3) has VSIs and cannot be removed"),
        (lambda content: content["dps"].pop("s2"), "there is no dp 's2'"),
        (lambda content: content.update(rest={"names": ["other"]}), "rest cannot change while the bridge runs"),
        (lambda content: content.update(nonsense=1), "unknown key 'nonsense'"),
    ],
)
def test_what_is_refused_changes_nothing(rig: Rig, made: Change, reason: str) -> None:
    with rig.unharmed(f"refused: {reason}"):
        before, known = rig.tables(), rig.controller.get("/evb/stations")
        change(rig, with_timers("hv1", rwd=22, rka=24), made)
        status, answer = reload(rig)
        assert status == 409 and any(reason in mistake for mistake in answer["mistakes"]), answer
        place = rf"{file_of(rig)}:[1-9][0-9]*:[1-9][0-9]*: "
        assert all(re.match(place, mistake) for mistake in answer["mistakes"])
        assert rig.tables() == before
        assert [found["port"] for found in rig.controller.get("/evb/stations")] == [found["port"] for found in known]
        assert "config.refused" in rig.alarms()
