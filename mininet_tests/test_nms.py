"""Two bridges that do not know each other: the state of VMs that move between them.

The script that carries the state knows the URLs of both bridges: it reads it at one and puts it to the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from mininet_tests.conftest import CHECKOUT, SHORT
from ryu_apps.testbed.conversations import (
    HTTP,
    MYSQL,
    FirewallVm,
    connected,
    guest,
    passes,
    stack_of,
    trespasses,
)
from ryu_apps.testbed.emulator import EmulatedStation, StationLoop
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.separate_bridges import SeparateBridges
from ryu_apps.testbed.moves.attempt import Attempt
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.testbed.moves.observers import StepObserver
from ryu_apps.testbed.moves.single import SingleMove
from ryu_apps.vcm.move import LIVE_LADDERS, Ladder, MoveStep

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

URLS = {"hv1": "http://127.0.0.1:8080", "hv4": "http://127.0.0.1:8081"}
THERE, BACK = "hv4", "hv1"


def asked(method: str, url: str, body: Any = None) -> Any:
    """The answer to a request."""
    octets = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, octets, {"Content-Type": "application/json"}, method=method), timeout=10) as answer:
        return json.load(answer)


@dataclass(frozen=True, slots=True)
class Carrier(StepObserver):
    """The script: carries the state while the memory is copied, and what has come since before the Associate."""

    source: str
    destination: str
    vsi: str

    def before(self, step: MoveStep, attempt: Attempt) -> None:
        if step in (MoveStep.COPY, MoveStep.ASSOCIATE):
            state = asked("GET", self.source + f"/evb/vsis/{self.vsi}/state")
            asked("PUT", self.destination + f"/evb/vsis/{self.vsi}/state", state)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeparateBridges]:
    folder: Path = tmp_path_factory.mktemp("bridges")
    with inside(), closing(StationLoop()) as loop:
        station: Callable[..., EmulatedStation] = partial(EmulatedStation, loop)
        with SeparateBridges(folder, CHECKOUT / "policies", station, SHORT) as cluster:
            yield cluster


def move(cluster: SeparateBridges, vm: FirewallVm, there: str, ladder: Ladder, carried: bool = True) -> None:
    carrier = Carrier(URLS[vm.at], URLS[there], vm.vsi.uuid)
    observers = (carrier,) if carried else ()
    move = SingleMove(cluster, vm.vsi, vm.vm.name, vm.at, there, ladder, 0.02, observers=observers)
    assert move.run().evidence.outcome is MoveOutcome.COMPLETED
    vm.at = there


@pytest.mark.parametrize("ladder", LIVE_LADDERS)
def test_connections_go_on_and_nothing_else_gets_in(both: SeparateBridges, ladder: Ladder) -> None:
    near, far = stack_of(both.hosts["nms"]), stack_of(both.hosts["client"])
    with guest(both, hypervisor=BACK) as vm, ExitStack() as ends:
        receiver, pusher = ends.enter_context(connected(vm.stack, far, MYSQL))
        uploader, server = ends.enter_context(connected(near, vm.stack, HTTP))
        for there in (THERE, BACK):
            move(both, vm, there, ladder)
            assert passes(pusher, receiver) and passes(uploader, server)
            assert passes(receiver, pusher) and passes(server, uploader)
        assert trespasses(far, vm.stack, (MYSQL, receiver.getsockname()[1])) == ["known"]
        assert trespasses(near, vm.stack, (uploader.getsockname()[1], HTTP)) == ["known"]


def test_bridge_takes_no_state_of_a_vsi_that_is_active_there_or_not_reserved(both: SeparateBridges) -> None:
    with guest(both, hypervisor=BACK) as vm:
        path = f"/evb/vsis/{vm.vsi.uuid}/state"
        state = asked("GET", URLS[BACK] + path)
        for place, status in ((BACK, 409), (THERE, 404)):
            with pytest.raises(HTTPError) as refusal:
                asked("PUT", URLS[place] + path, state)
            assert refusal.value.code == status
