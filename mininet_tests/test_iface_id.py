"""VMs at the Open vSwitch of a server whose ports are known by ``external_ids:iface-id``, with a real ovsdb-server."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mininet_tests.conftest import CHECKOUT, SHORT, tables, wait_as_found
from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.testbed.guests import HTTPS, arrives, vsi
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.datapath import Datapath, configured_datapath
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import Namespace, run, wait_until
from ryu_apps.testbed.harness.station_daemon import DaemonStation
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.testbed.short_timers import quick
from ryu_apps.topologies import servers

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

HERE, SWITCH = "hv1", "vs1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One server, whose station reads the database of its Open vSwitch."""
    folder = tmp_path_factory.mktemp("iface-id")

    def station(namespace: Namespace, uplink: str, place: Path) -> DaemonStation:
        return DaemonStation(namespace, uplink, place, "--ovsdb", str(folder / "ovs" / "db.sock"))

    fabric = quick(servers.fabric(1, 0), SHORT)
    config = dump_config(BridgeConfig(fabric, (str(CHECKOUT / "policies"),), str(folder / "state")))
    with inside(), Cluster(fabric, servers.END_SYSTEMS, folder, config, station=station) as cluster:
        yield cluster


@pytest.fixture
def cluster(server: Cluster) -> Iterator[Cluster]:
    before = tables(server)
    yield server
    wait_as_found(partial(tables, server), before)


class Guest:
    """A VM whose tap has a name of the hypervisor's choice."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        self.number, self.cluster = number, cluster
        self.vm = NamespaceVm(f"t{number}", f"52:54:00:bb:00:{number:02x}", f"10.0.100.{100 + number}")
        self.iface_id = f"interface-{number}"
        self.tap = ""

    @property
    def daemon(self) -> DaemonStation:
        station = self.cluster.hypervisors[HERE].station
        assert isinstance(station, DaemonStation)
        return station

    def plug(self, tap: str) -> None:
        """Its tap appears at the switch, as a hypervisor gives it: interface and iface-id in one transaction."""
        before = self.tap or self._bring()
        # Linux before 6.2 renames no interface that is up.
        run(["ip", "link", "set", "dev", before, "down"])
        run(["ip", "link", "set", "dev", before, "name", tap])
        self.tap = tap
        self.add(tap)
        run(["ip", "link", "set", tap, "up"])

    def _bring(self) -> str:
        self.vm.boot(self.cluster.hypervisors[HERE].namespace)
        home = self.cluster.hypervisors[HERE].namespace
        home.ip(f"link set dev {self.vm.port} netns {os.getpid()} name t0")
        return "t0"

    def add(self, tap: str, *settings: str) -> None:
        more = ["--", "set", "interface", tap, f"external_ids:iface-id={self.iface_id}", *settings]
        run(["ovs-vsctl", "--timeout=30", "add-port", SWITCH, tap, *more])

    def unplug(self) -> None:
        run(["ovs-vsctl", "--timeout=30", "del-port", SWITCH, self.tap])

    def call(self, verb: str, **more: Any) -> dict[str, Any]:
        described = {"type": 1, "filters": list(vsi(self.number).filters), "addresses": [self.vm.ip]}
        extra = {} if verb == "release" else {**described, "iface_id": self.iface_id}
        return self.daemon.call(verb, vsi(self.number).uuid, **extra, **more)

    def shown(self) -> dict[str, Any]:
        """Its attachment, as the bridge has it."""
        (found,) = self.cluster.controller.get(f"/evb/vsis/{vsi(self.number).uuid}")["attachments"]
        assert isinstance(found, dict)
        return found

    def talks(self) -> bool:
        client = self.cluster.hosts["client"]
        return arrives(client.namespace, self.vm.namespace, self.vm.ip, HTTPS) and arrives(
            self.vm.namespace, client.namespace, client.ip, HTTPS
        )


@contextmanager
def guest(cluster: Cluster, number: int) -> Iterator[Guest]:
    """A VM that is not there yet, and is gone afterwards."""
    made = Guest(cluster, number)
    try:
        yield made
    finally:
        made.call("release")
        for port in run(["ovs-vsctl", "--timeout=30", "list-ports", SWITCH]).split():
            if port.startswith("t1vm"):
                run(["ovs-vsctl", "--timeout=30", "del-port", SWITCH, port])
        made.vm.halt()


@contextmanager
def asking(ask: Callable[[], dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """A call that waits meanwhile; its answer is there behind the block."""
    answers: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: answers.append(ask()))
    thread.start()
    try:
        yield answers
    finally:
        thread.join()


def test_a_tap_is_found_when_it_appears_and_its_vsi_was_staged_before(cluster: Cluster) -> None:
    with guest(cluster, 11) as made:
        assert made.call("reserve")["port"] is None
        staged = made.shown()
        assert (staged["phase"], staged["vsi_port"]) == ("staged", {"name": None, "port_no": None})
        with asking(lambda: made.call("associate")) as answers:
            made.plug("t1vmlate")
        assert [(answer["ok"], answer["port"]) for answer in answers] == [(True, "t1vmlate")]
        active = made.shown()
        assert active["vsi_port"]["name"] == "t1vmlate"
        assert active["program"]["generation"] == staged["program"]["generation"], "its body is the one that was staged"
        assert made.talks()


def test_a_tap_that_returns_under_another_name_has_its_vsi_again(cluster: Cluster) -> None:
    with guest(cluster, 12) as made:
        made.plug("t1vmfirst")
        assert made.call("associate")["ok"] and made.talks()
        before = made.shown()["vsi_port"]["port_no"]
        made.unplug()
        wait_until(lambda: made.shown()["vsi_port"]["port_no"] is None, "the port to be gone")
        made.plug("t1vmsecond")
        wait_until(lambda: made.shown()["vsi_port"]["name"] == "t1vmsecond", "the other name", 60)
        assert made.talks()
        assert made.shown()["vsi_port"]["port_no"] not in (None, before)
        assert made.call("associate")["port"] == "t1vmsecond"


def test_two_taps_with_one_iface_id_are_refused_and_a_second_one_takes_nothing(cluster: Cluster) -> None:
    with guest(cluster, 13) as made:
        made.add("t1vmdouble", "type=internal")
        made.plug("t1vmright")
        assert made.call("associate").get("error") == "conflict"
        assert "t1vmdouble, t1vmright" in made.call("associate")["reason"]
        run(["ovs-vsctl", "--timeout=30", "del-port", SWITCH, "t1vmdouble"])
        wait_until(lambda: made.call("associate")["ok"], "the only one")
        made.add("t1vmdouble", "type=internal")
        assert made.call("associate")["port"] == "t1vmright"
        assert made.talks() and made.shown()["vsi_port"]["name"] == "t1vmright"


def test_an_ovsdb_server_that_restarts_costs_a_vm_nothing_and_is_read_again(cluster: Cluster) -> None:
    with guest(cluster, 14) as made, guest(cluster, 15) as late:
        made.plug("t1vmold")
        assert made.call("associate")["ok"]
        cluster.ovs.kill_server()
        try:
            wait_until(lambda: made.daemon.status()["ovsdb"] is False, "the daemon to notice")
            # The user-space datapath forwards nothing meanwhile.
            assert configured_datapath() is Datapath.USER_SPACE or made.talks()
            assert made.call("associate")["port"] == "t1vmold", "what was shown last is valid"
            missing = late.call("associate", deadline=0.5)
            assert missing["error"] == "deadline" and "no port has the iface-id" in missing["reason"]
        finally:
            cluster.ovs.start_server()
        wait_until(lambda: made.daemon.status()["ovsdb"] is True, "the daemon to read it again")
        late.plug("t1vmnew")
        wait_until(lambda: late.call("associate", deadline=5.0)["ok"], "the other VM")
        assert late.talks() and made.talks()
