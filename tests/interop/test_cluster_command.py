"""``evbridge cluster`` with real servers: a cluster that grows, loses a server, and gets smaller."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ryu_apps.cli.main import main
from ryu_apps.stores.ovsdb.store import OvsdbStore
from ryu_apps.testbed.harness.ovsdb_cluster import OvsdbCluster
from tests.interop.private_ovs import wait_for


class Operator:
    """Servers whose databases are made by the command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers = OvsdbCluster(folder)

    def address(self, number: int) -> str:
        return f"unix:{self.folder}/{number}.raft"

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["cluster", *arguments])

    def init(self, *more: str) -> Result:
        return self.run("init", "--file", f"{self.folder}/0.db", "--address", self.address(0), *more)

    def join(self, number: int, *members: int) -> Result:
        own = ("--file", f"{self.folder}/{number}.db", "--address", self.address(number))
        return self.run("join", *own, *map(self.address, members))

    def at(self, command: str, number: int, *more: str) -> Result:
        return self.run(command, "--socket", f"{self.folder}/{number}.ctl", *more)

    def id(self, number: int) -> str:
        """The identifier of a server, as status shows it."""
        shown = self.at("status", number).output
        return shown.partition("server    ")[2][:4]

    def see(self, number: int, *words: str) -> None:
        """Wait until the status that a server shows has some words."""
        wait_for(lambda: all(word in self.at("status", number).output for word in words), f"{words} at {number}")

    def grow(self, size: int) -> None:
        """Make a cluster and start its servers."""
        assert self.init().exit_code == 0
        self.servers.start_server(0)
        for number in range(1, size):
            assert self.join(number, 0).exit_code == 0
            self.servers.start_server(number)
            self.see(number, "cluster member")
        for number in range(size):
            self.see(number, "leader    ", *map(self.address, range(size)))
            wait_for(lambda number=number: self.at("status", number).exit_code == 0, f"leader of {number}")


@pytest.fixture
def operator() -> Iterator[Operator]:
    with tempfile.TemporaryDirectory(prefix="ovsdb-") as folder:
        made = Operator(Path(folder))
        yield made
        made.servers.stop()


def test_a_cluster_grows_serves_and_gets_smaller(operator: Operator) -> None:
    operator.grow(3)
    shown = [operator.at("status", number) for number in range(3)]
    assert [status.exit_code for status in shown] == [0, 0, 0]
    assert len({status.output.splitlines()[0] for status in shown}) == 1, "one cluster identifier"
    leader = operator.servers.leader()
    assert f"leader    {operator.id(leader)} at {operator.address(leader)}" in shown[2].output
    store = OvsdbStore(operator.servers.remotes, patience=15)
    store.commit({"a": b"1"})
    left = operator.at("leave", leader)
    assert left.exit_code == 0 and "left the cluster" in left.output
    gone = operator.at("status", leader)
    assert gone.exit_code == 1 and "unknown cluster" in gone.output
    others = [number for number in range(3) if number != leader]
    operator.see(others[0], "leader    ", *map(operator.address, others))
    assert operator.address(leader) not in operator.at("status", others[0]).output
    store.commit({"a": b"2"})
    store.close()


def test_a_server_that_is_lost_is_removed_by_another_one(operator: Operator) -> None:
    operator.grow(3)
    lost = next(number for number in range(3) if number != operator.servers.leader())
    name = operator.id(lost)
    operator.servers.kill(lost)
    here = operator.servers.leader()
    assert "has no server" in operator.at("leave", here, "--server", "zzzz").output
    assert "is this server" in operator.at("leave", here, "--server", operator.id(here)).output
    assert operator.at("leave", here, "--server", name).exit_code == 0
    assert operator.address(lost) not in operator.at("status", here).output


def test_without_a_leader_the_status_says_so_and_nobody_can_leave(operator: Operator) -> None:
    operator.grow(2)
    operator.servers.kill(0)
    operator.see(1, "leader    not known")
    assert operator.at("status", 1).exit_code == 1
    refused = operator.at("leave", 1)
    assert refused.exit_code == 1 and "no leader is known: nothing can be changed" in refused.output


def test_the_last_server_does_not_leave(operator: Operator) -> None:
    operator.grow(1)
    refused = operator.at("leave", 0)
    assert refused.exit_code == 1 and "it is the only server" in refused.output


def test_mistakes_are_one_line(operator: Operator) -> None:
    operator.init()
    for refused, words in (
        (operator.init(), "exists"),
        (operator.join(0, 1), "exists"),
        (operator.join(1, 1), "is the address of this server: name others"),
        (operator.at("status", 7), "cannot connect"),
        (operator.run("init", "--file", "/nowhere/db", "--address", "tcp:10.0.0.1:1"), "/nowhere is not a directory"),
        (operator.run("init", "--file", "x.db", "--address", "10.0.0.1:6642"), "is not like tcp:10.0.0.1:6642"),
    ):
        assert refused.exit_code != 0 and words in refused.output.splitlines()[-1], refused.output
