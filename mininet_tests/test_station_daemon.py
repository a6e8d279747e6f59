"""``evbridge station`` at every hypervisor: moves along both ladders, and what a daemon meets in its life."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from mininet_tests.conftest import daemon_at, tables, wait_as_found
from ryu_apps.testbed.guests import places
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.harness.station import VdptoolMode, VdptoolVsi
from ryu_apps.testbed.harness.station_daemon import DaemonStation
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.testbed.moves.attempt import admit, dismiss
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.testbed.moves.single import SingleMove
from ryu_apps.vcm.move_events import LIVE_LADDERS, Ladder

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

HERE, THERE = "hv1", "hv5"
MAC = "52:54:00:dd:01:01"
VSI = VdptoolVsi("00000000-0000-4000-d001-000000000001", 1, 1, (f"100-{MAC}",), "10.0.100.92")
ASSOCIATE, RELEASE = VdptoolMode.ASSOCIATE, VdptoolMode.DEASSOCIATE


@pytest.fixture
def cluster(daemons: Cluster) -> Iterator[Cluster]:
    before = tables(daemons)
    yield daemons
    wait_as_found(partial(tables, daemons), before)


@pytest.fixture
def vm(cluster: Cluster) -> Iterator[NamespaceVm]:
    """A VM that is associated at ``HERE``; wherever it is in the end, it is released there."""
    vm = NamespaceVm("d2", MAC, "10.0.100.92")
    cluster.boot(vm, HERE)
    admit(cluster.hypervisors[HERE], VSI)
    yield vm
    for where in (HERE, THERE):
        home = cluster.hypervisors[where]
        dismiss(home, VSI)
        if vm.port in home.edge.ports:
            cluster.shut_down(vm.name, where)


def state(cluster: Cluster, where: str) -> list[str]:
    """States of the VSIs at a station."""
    return daemon_at(cluster, where).states()


@pytest.mark.parametrize("ladder", LIVE_LADDERS, ids=lambda ladder: ladder.value)
def test_a_vm_moves_there_and_back(cluster: Cluster, vm: NamespaceVm, ladder: Ladder) -> None:
    for source, destination in ((HERE, THERE), (THERE, HERE)):
        move = SingleMove(cluster, VSI, vm.name, source, destination, ladder, 0.05)
        assert move.run().evidence.outcome is MoveOutcome.COMPLETED
        assert (state(cluster, source), state(cluster, destination)) in (
            ([], ["associated"]),
            (["withdrawn"], ["associated"]),
        )


def test_a_daemon_that_was_killed_keeps_its_vsis(cluster: Cluster, vm: NamespaceVm) -> None:
    home = daemon_at(cluster, HERE)
    home.kill()
    home.start()
    home.wait_ready()

    wait_until(lambda: state(cluster, HERE) == ["associated"], "the VSI to be taken up")
    assert places(cluster, VSI.uuid) == {HERE: "active"}
    assert home.status()["vsis"][0]["filters"] == [f"100-{MAC}"]


def test_an_uplink_that_vanishes_and_comes_back_is_used_again(cluster: Cluster, vm: NamespaceVm) -> None:
    home = daemon_at(cluster, HERE)
    home.namespace.ip(f"link set {home.interface} down")
    wait_until(lambda: not home.status()["uplinks"][home.interface]["up"], "the uplink to be down")
    home.namespace.ip(f"link set {home.interface} up")

    home.wait_ready()
    wait_until(lambda: state(cluster, HERE) == ["associated"], "the VSI to be associated again")


def test_a_refusal_reaches_the_caller_with_its_reason(cluster: Cluster, vm: NamespaceVm) -> None:
    other = daemon_at(cluster, THERE)
    unknown = other.call("reserve", "00000000-0000-4000-d001-000000000002", type=999, filters=["100-52:54:00:dd:01:02"])
    assert (unknown["error"], "error 4" in unknown["reason"]) == ("refused", True)

    stolen = other.call("associate", VSI.uuid, type=1, filters=[f"100-{MAC}"])
    assert stolen["error"] == "refused"
    assert state(cluster, HERE) == ["associated"]


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"[]\n",
        b"{\n",
        b'{"verb": "drop"}\n',
        b'{"verb": "reserve", "vsi": "x"}\n',
        b'{"verb": "reserve", "vsi": "' + VSI.uuid.encode() + b'", "type": 1}\n',
        b'{"verb": "status", "vsi": 1}\n',
        b"[" * 60000 + b"\n",
        b"x" * 70000 + b"\n",
        b'{"a": "\xff"}\n',
    ],
    ids=["nothing", "list", "half", "verb", "vsi", "filters", "status", "nested", "long", "octets"],
)
def test_a_bad_call_is_answered_and_harms_nobody(cluster: Cluster, vm: NamespaceVm, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(30)
        connection.connect(str(daemon_at(cluster, HERE).control))
        connection.sendall(line)
        answer = json.loads(connection.makefile("rb").readline())

    assert (answer["ok"], answer["error"]) == (False, "bad_call")
    assert state(cluster, HERE) == ["associated"]


def test_a_second_daemon_does_not_take_the_socket_away(cluster: Cluster, vm: NamespaceVm, tmp_path: Path) -> None:
    home = daemon_at(cluster, HERE)
    second = DaemonStation(home.namespace, home.interface, tmp_path)
    second.control = home.control
    second.start()
    assert second._process is not None
    assert second._process.wait(30) == 1

    assert "another station daemon listens there" in second.log.read_text()
    assert state(cluster, HERE) == ["associated"]


def test_calls_of_a_caller_that_is_gone_are_carried_out(cluster: Cluster) -> None:
    home = daemon_at(cluster, HERE)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(home.control))
        written = {"verb": "reserve", "vsi": VSI.uuid, "type": 1, "filters": [f"100-{MAC}"]}
        connection.sendall(json.dumps(written).encode() + b"\n")

    wait_until(lambda: state(cluster, HERE) == ["reserved"], "the reservation")
    assert home.call("release", VSI.uuid)["confirmed"]


def test_a_caller_that_has_closed_its_half_is_answered(cluster: Cluster) -> None:
    home = daemon_at(cluster, HERE)
    written = {"vsi": VSI.uuid, "type": 1, "filters": [f"100-{MAC}"]}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(30)
        connection.connect(str(home.control))
        for number, verb in enumerate(("reserve", "associate", "release")):
            connection.sendall(json.dumps({"id": number, "verb": verb, **written}).encode() + b"\n")
        connection.shutdown(socket.SHUT_WR)
        answers = [json.loads(line) for line in connection.makefile("rb")]

    assert sorted((answer["id"], answer["ok"]) for answer in answers) == [(0, False), (1, False), (2, True)]
