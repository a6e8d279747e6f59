"""One conformance suite for the directory on real servers and for the model that other tests have."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ryu_apps.evb.pods.directory import Directory, DirectoryError, OvertakenError
from ryu_apps.evb.pods.owner import Owner
from ryu_apps.stores.ovsdb import owners
from ryu_apps.stores.ovsdb.directory import OvsdbDirectory
from ryu_apps.testbed.harness.ovsdb_cluster import DIRECTORY, OvsdbCluster
from tests.interop.private_ovs import wait_for
from tests.worlds.directory_model import DirectoryModel

#: Seconds until a call that is not answered fails.
PATIENCE = 10.0
Answer = Owner | DirectoryError | None


@pytest.fixture(scope="module")
def servers() -> Iterator[OvsdbCluster]:
    with (
        tempfile.TemporaryDirectory(prefix="pods-") as folder,
        OvsdbCluster(Path(folder), 1, database=DIRECTORY) as cluster,
    ):
        yield cluster


@pytest.fixture(params=["model", "ovsdb"])
def directory(request: pytest.FixtureRequest) -> Iterator[Directory]:
    if request.param == "model":
        yield DirectoryModel()
        return
    found = OvsdbDirectory(request.getfixturevalue("servers").remotes, "a", patience=PATIENCE)
    yield found
    found.close()


def ask(call: Callable[..., None], *arguments: object) -> Answer:
    """Call, and wait for the answer."""
    answers: list[Answer] = []
    there = threading.Event()

    def ended(answer: Answer) -> None:
        answers.append(answer)
        there.set()

    call(*arguments, ended)
    assert there.wait(2 * PATIENCE)
    return answers[0]


@pytest.fixture
def vsi(request: pytest.FixtureRequest) -> str:
    """A VSI of the test's own: tests share a server."""
    return request.node.name


def test_vsi_has_no_owner_until_it_is_claimed(directory: Directory, vsi: str) -> None:
    assert ask(directory.find, vsi) is None
    ask(directory.begin_life, "a", 1)
    owner = Owner("a", 1, 77)
    assert ask(directory.claim, vsi, owner, 0) is None
    assert ask(directory.find, vsi) == owner


def test_claim_expects_the_owner_before(directory: Directory, vsi: str) -> None:
    for pod in "ab":
        ask(directory.begin_life, pod, 1)
    ask(directory.claim, vsi, Owner("a", 1, 5), 0)
    assert isinstance(ask(directory.claim, vsi, Owner("b", 1, 6), 0), OvertakenError)
    assert isinstance(ask(directory.claim, vsi, Owner("b", 1, 6), 4), OvertakenError)
    assert ask(directory.find, vsi) == Owner("a", 1, 5)
    assert ask(directory.claim, vsi, Owner("b", 1, 6, ("c", "a")), 5) is None
    assert ask(directory.find, vsi) == Owner("b", 1, 6, ("c", "a"))
    assert ask(directory.claim, vsi, Owner("b", 1, 6), 6) is None
    assert ask(directory.find, vsi) == Owner("b", 1, 6)


def test_earlier_life_of_a_pod_writes_nothing(directory: Directory, vsi: str) -> None:
    assert ask(directory.begin_life, "c", 10) is None
    ask(directory.claim, vsi, Owner("c", 10, 1), 0)
    assert ask(directory.begin_life, "c", 11) is None
    assert ask(directory.begin_life, "c", 11) is None
    assert isinstance(ask(directory.begin_life, "c", 10), OvertakenError)
    stale = Owner("c", 10, 1)
    assert isinstance(ask(directory.claim, vsi, Owner("c", 10, 2), 1), OvertakenError)
    assert isinstance(ask(directory.release, vsi, stale), OvertakenError)
    assert isinstance(ask(directory.give_back, vsi, stale, Owner("d", 1, 3)), OvertakenError)
    assert ask(directory.find, vsi) == stale
    # The later life goes on with what the earlier one has claimed.
    assert ask(directory.release, vsi, Owner("c", 11, 1)) is None
    assert ask(directory.find, vsi) is None


def test_release_leaves_what_another_pod_has_claimed_since(directory: Directory, vsi: str) -> None:
    for pod in "ab":
        ask(directory.begin_life, pod, 1)
    ask(directory.claim, vsi, Owner("a", 1, 5), 0)
    ask(directory.claim, vsi, Owner("b", 1, 6), 5)
    assert ask(directory.release, vsi, Owner("a", 1, 5)) is None
    assert ask(directory.find, vsi) == Owner("b", 1, 6)
    ask(directory.claim, vsi, Owner("a", 1, 7), 6)
    assert ask(directory.release, vsi, Owner("a", 1, 5)) is None
    assert ask(directory.find, vsi) == Owner("a", 1, 7)


def test_claim_in_vain_is_given_back_also_if_it_is_in_doubt(directory: Directory, vsi: str) -> None:
    for pod in "ab":
        ask(directory.begin_life, pod, 1)
    ask(directory.claim, vsi, Owner("a", 1, 5), 0)
    # Not there: nothing is given back.
    assert ask(directory.give_back, vsi, Owner("b", 1, 6), Owner("a", 1, 7)) is None
    assert ask(directory.find, vsi) == Owner("a", 1, 5)
    ask(directory.claim, vsi, Owner("b", 1, 6), 5)
    assert ask(directory.give_back, vsi, Owner("b", 1, 6), Owner("a", 1, 7)) is None
    assert ask(directory.find, vsi) == Owner("a", 1, 7)


def test_pod_is_told_of_what_it_has_lost_and_follows_its_own_alone(servers: OvsdbCluster) -> None:
    here = OvsdbDirectory(servers.remotes, "here", patience=PATIENCE)
    there = OvsdbDirectory(servers.remotes, "there", patience=PATIENCE)
    told: list[frozenset[str] | None] = []
    here.watch(told.append)
    for name, pod in (("here", here), ("there", there)):
        ask(pod.begin_life, name, 1)
    ask(here.claim, "moves", Owner("here", 1, 1), 0)
    ask(here.claim, "stays", Owner("here", 1, 1), 0)
    ask(there.claim, "other", Owner("there", 1, 1), 0)
    wait_for(lambda: set(here.own) == {"moves", "stays"}, "the own rows")
    ask(there.claim, "moves", Owner("there", 1, 2), 1)
    wait_for(lambda: frozenset({"moves"}) in told, "the loss")
    wait_for(lambda: set(there.own) == {"moves", "other"}, "the rows of the other pod")
    assert set(here.own) == {"stays"}
    for each in (here, there):
        each.close()


def test_pod_reads_only_the_rows_that_have_changed(servers: OvsdbCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = OvsdbDirectory(servers.remotes, "large", patience=PATIENCE)
    ask(pod.begin_life, "large", 1)
    for number in range(100):
        ask(pod.claim, f"large-{number}", Owner("large", 1, 1), 0)
    wait_for(lambda: len(pod.own) == 100, "the own rows")
    read: list[str] = []

    def counted(*fields: object) -> Owner:
        read.append(str(fields))
        return Owner(*fields)  # type: ignore[arg-type]

    monkeypatch.setattr(owners, "Owner", counted)
    pod.claim("large-100", Owner("large", 1, 1), 0, lambda failure: None)
    wait_for(lambda: len(pod.own) == 101, "the new row")
    assert len(read) == 1
    pod.close()


def test_of_many_claims_at_once_one_wins(servers: OvsdbCluster) -> None:
    pods = [OvsdbDirectory(servers.remotes, f"many{number}", patience=PATIENCE) for number in range(4)]
    for number, pod in enumerate(pods):
        ask(pod.begin_life, f"many{number}", 1)
    answers: list[Answer] = []
    for turn in range(10):
        for number, pod in enumerate(pods):
            pod.claim(f"fought-{turn}", Owner(f"many{number}", 1, 1), 0, answers.append)
    wait_for(lambda: len(answers) == 40, "all answers")
    assert answers.count(None) == 10
    assert all(answer is None or isinstance(answer, OvertakenError) for answer in answers)
    for pod in pods:
        pod.close()


def test_look_up_with_little_patience_ends_before_a_claim_that_waits_longer(servers: OvsdbCluster) -> None:
    pod = OvsdbDirectory(servers.remotes, "hasty", patience=PATIENCE)
    assert ask(pod.begin_life, "hasty", 1) is None
    servers.pause(0)
    claimed: list[Answer] = []
    pod.claim("hasty-vsi", Owner("hasty", 1, 1), 0, claimed.append)
    found: list[Answer] = []
    pod.find("hasty-vsi", found.append, 0.2)
    wait_for(lambda: bool(found), "the end of the look-up")
    assert type(found[0]) is DirectoryError and claimed == []
    servers.go_on(0)
    wait_for(lambda: bool(claimed), "the end of the claim")
    pod.close()


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_server_that_does_not_answer_is_told_of_in_time(fault: str) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="pods-") as folder,
        OvsdbCluster(Path(folder), 1, database=DIRECTORY) as cluster,
    ):
        pod = OvsdbDirectory(cluster.remotes, "a", patience=1.0)
        assert ask(pod.begin_life, "a", 1) is None
        cluster.kill(0) if fault == "kill" else cluster.pause(0)
        assert type(ask(pod.find, "x")) is DirectoryError
        assert type(ask(pod.claim, "x", Owner("a", 1, 1), 0)) is DirectoryError
        cluster.start_server(0) if fault == "kill" else cluster.go_on(0)
        wait_for(lambda: not isinstance(ask(pod.find, "x"), DirectoryError), "an answer")
        assert ask(pod.release, "x", Owner("a", 1, 1)) is None
        pod.close()
