"""``evbridge station qmp``: live migration of QEMU guests with ``evbridge station`` at both hosts."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import pytest

from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.testbed.flow_dumps import dump_rules
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import run, wait_until
from ryu_apps.testbed.harness.station_daemon import DaemonStation
from ryu_apps.testbed.hypervisors.domain import Guest
from ryu_apps.testbed.hypervisors.guest_image import ECHO, SOURCE, GuestImage, build_image
from ryu_apps.testbed.hypervisors.guest_stream import GuestStream
from ryu_apps.testbed.hypervisors.qemu import QemuGuest
from ryu_apps.topologies import two_switch
from tests.worlds.manual import blocks

pytestmark = [pytest.mark.privileged, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
EVBRIDGE = Path(sys.executable).with_name("evbridge")
COMMAND = blocks("docs/station.rst", "QEMU alone")[0].replace("\\\n", " ")
HERE, THERE = "hv1", "hv5"
_numbers = count(1)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> GuestImage:
    return build_image(Path(os.environ["EVBRIDGE_GUEST_KERNEL"]), tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    config = dump_config(BridgeConfig(two_switch.fabric(8), (str(ROOT / "policies"),)))
    folder = tmp_path_factory.mktemp("daemons")
    cluster = Cluster(two_switch.fabric(8), two_switch.END_SYSTEMS, folder, config, station=DaemonStation)
    with inside(), cluster:
        yield cluster


class Site:
    """A guest at ``HERE``, and a QEMU that waits for it at ``THERE``."""

    def __init__(self, cluster: Cluster, image: GuestImage, folder: Path, stack: ExitStack) -> None:
        number = next(_numbers)
        uuid, mac = f"33333333-2222-4333-8444-{number:012d}", f"52:54:00:cc:00:{number:02x}"
        self.guest = Guest(f"g{number}", uuid, mac, f"10.0.100.{60 + number}", 10, 1)
        self.vsi = {"vsi": uuid, "type": 10, "filters": [f"100-{mac}"], "addresses": [self.guest.ip]}
        self.cluster = cluster
        self._start = lambda where, waits: QemuGuest(self.guest, image, cluster.hypervisors[where], folder, waits)
        stack.callback(self._release)
        self.machines = {HERE: self._start(HERE, False)}
        stack.callback(self.machines[HERE].remove)
        assert self.station(HERE).call("associate", **self.call)["ok"]
        self.machines[HERE].wait_booted()
        self.machines[THERE] = self._start(THERE, True)
        stack.callback(self.machines[THERE].remove)

    @property
    def call(self) -> dict[str, object]:
        return {"uuid": self.vsi["vsi"], **{key: value for key, value in self.vsi.items() if key != "vsi"}}

    def station(self, where: str) -> DaemonStation:
        found = self.cluster.hypervisors[where].station
        assert isinstance(found, DaemonStation)
        return found

    def statuses(self) -> tuple[str, str]:
        """Run states of the QEMUs here and there."""
        return self.machines[HERE].status(), self.machines[THERE].status()

    def active(self) -> list[str]:
        """Hypervisors at whose ports the bridge has the VSI active."""
        known = [vsi for vsi in self.cluster.controller.get("/evb/vsis") if vsi["vsi"] == self.guest.uuid]
        return [at["name"] for vsi in known for at in vsi["attachments"] if at["phase"] == "active"]

    def migrate(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Type the command of the manual with this site's names, and further options; returns when it has ended."""
        names = {
            "evbridge": EVBRIDGE,
            "vm1.qmp": self.machines[HERE].qmp,
            "vm1-new.qmp": self.machines[THERE].qmp,
            "hv1-station": self.station(HERE).control,
            "hv2-station": self.station(THERE).control,
            "tcp:hv2:4444": self.machines[THERE].incoming,
        }
        *command, vsi = shlex.split(COMMAND)
        assert (set(names) - set(command), sorted(json.loads(vsi))) == (set(), ["filters", "type", "vsi"])
        words = [str(names.get(word, word)) for word in command]
        return subprocess.run([*words, json.dumps(self.vsi), *options], capture_output=True, text=True, timeout=300)

    def _release(self) -> None:
        for where in (HERE, THERE):
            self.station(where).call("release", self.guest.uuid)


@pytest.fixture
def site(daemons: Cluster, image: GuestImage, tmp_path: Path) -> Iterator[Site]:
    before = _tables()
    with ExitStack() as stack:
        stack.callback(lambda: wait_until(lambda: _tables() == before, "flow tables as before the test", 60.0))
        yield Site(daemons, image, tmp_path, stack)


def _tables() -> dict[str, list[str]]:
    return {name: dump_rules(name) for name in ("s1", "s2")}


@contextmanager
def full(switch: str, table: Table) -> Iterator[None]:
    """The time of the ``with`` block, in which a switch refuses further rules of a table."""
    limit = ["--id=@full", "create", "Flow_Table", "flow_limit=1", "overflow_policy=refuse"]
    run(["ovs-vsctl", "--", *limit, "--", "set", "Bridge", switch, f"flow_tables:{table:d}=@full"])
    try:
        yield
    finally:
        run(["ovs-vsctl", "clear", "Bridge", switch, "flow_tables"])


def steps(output: str) -> list[str]:
    return [line.split(maxsplit=1)[1] for line in output.splitlines()]


def test_a_guest_moves_with_its_connections_and_runs_behind_an_open_port_only(site: Site) -> None:
    client = site.cluster.hosts["client"].namespace
    with GuestStream(client, site.guest.ip, ECHO) as echo, GuestStream(client, site.guest.ip, SOURCE) as source:
        for stream in (echo, source):
            stream.wait_heard("before the move")

        done = site.migrate()

        assert (done.returncode, done.stderr) == (0, "")
        assert steps(done.stdout) == ["reserve", "copy", "suspend", "associate", "continue", "release", "done"]
        site.machines[HERE].wait_ended()
        assert (site.statuses(), site.active()) == (("ended", "running"), [THERE])
        for stream in (echo, source):
            stream.wait_heard("after the move")
    wait_until(lambda: site.station(HERE).status()["vsis"] == [], "the source's station to be rid of it")


def test_a_refused_reservation_leaves_the_guest_alone(site: Site) -> None:
    site.vsi = {**site.vsi, "type": 999}
    with GuestStream(site.cluster.hosts["client"].namespace, site.guest.ip, ECHO) as echo:
        done = site.migrate()

        assert (done.returncode, "not migrated: reserve of VSI" in done.stderr) == (1, True)
        assert (site.statuses(), site.active()) == (("running", "inmigrate"), [HERE])
        echo.wait_heard("after the refusal")


def test_a_refused_associate_lets_the_guest_go_on_at_its_source(site: Site) -> None:
    with GuestStream(site.cluster.hosts["client"].namespace, site.guest.ip, ECHO) as echo:
        echo.wait_heard("before the move")
        with full("s2", Table.INGRESS):
            done = site.migrate()

        assert (done.returncode, "not migrated: associate of VSI" in done.stderr) == (1, True), done
        wait_until(lambda: site.statuses() == ("running", "ended"), "the guest at its source")
        wait_until(lambda: site.active() == [HERE], "the VSI at its source")
        echo.wait_heard("after the refusal")


def test_a_destination_that_dies_lets_the_guest_go_on_at_its_source(site: Site) -> None:
    site.machines[HERE].execute("migrate-set-parameters", **{"max-bandwidth": 1 << 20})
    client = site.cluster.hosts["client"].namespace
    with GuestStream(client, site.guest.ip, ECHO) as echo, ThreadPoolExecutor(1) as background:
        migration = background.submit(site.migrate)
        wait_until(lambda: site.station(THERE).status()["vsis"], "the reservation")
        wait_until(lambda: site.machines[THERE].qmp.exists(), "QMP")
        site.machines[THERE].kill()
        done = migration.result(300)

        assert (done.returncode, "not migrated" in done.stderr) == (1, True), done
        wait_until(lambda: (site.statuses(), site.active()) == (("running", "ended"), [HERE]), "as before")
        echo.wait_heard("after the failure")


def test_a_guest_runs_at_its_destination_before_its_memory_is_there(site: Site) -> None:
    client = site.cluster.hosts["client"].namespace
    with GuestStream(client, site.guest.ip, ECHO) as echo, GuestStream(client, site.guest.ip, SOURCE) as source:
        done = site.migrate("--postcopy")

        assert (done.returncode, done.stderr) == (0, "")
        order = ["reserve", "copy", "suspend", "associate", "continue", "fetch", "release", "done"]
        assert steps(done.stdout) == order
        site.machines[HERE].wait_ended()
        assert (site.statuses(), site.active()) == (("ended", "running"), [THERE])
        for stream in (echo, source):
            stream.wait_heard("after the move")


def test_a_refused_associate_before_the_copy_on_demand_lets_the_guest_go_on_at_its_source(site: Site) -> None:
    with GuestStream(site.cluster.hosts["client"].namespace, site.guest.ip, ECHO) as echo:
        with full("s2", Table.INGRESS):
            done = site.migrate("--postcopy")

        assert (done.returncode, "not migrated: associate of VSI" in done.stderr) == (1, True), done
        wait_until(lambda: site.statuses() == ("running", "ended"), "the guest at its source")
        wait_until(lambda: site.active() == [HERE], "the VSI at its source")
        echo.wait_heard("after the refusal")


@contextmanager
def copying_on_demand(site: Site) -> Iterator[Future[subprocess.CompletedProcess[str]]]:
    """A migration during which the guest runs at its destination, with little of its memory."""
    site.machines[HERE].execute(
        "migrate-set-parameters", **{"max-bandwidth": 1 << 20, "max-postcopy-bandwidth": 1 << 20}
    )
    with ThreadPoolExecutor(1) as background:
        migration = background.submit(site.migrate, "--postcopy")
        wait_until(lambda: migration_status(site, THERE) == "postcopy-active", "post-copy", 60.0)
        wait_until(lambda: site.statuses()[1] == "running", "the guest at its destination", 60.0)
        yield migration


def migration_status(site: Site, where: str) -> str:
    return str(site.machines[where].execute("query-migrate").get("status"))


def test_a_copy_on_demand_that_stops_leaves_the_network_at_the_destination_and_is_recovered(site: Site) -> None:
    here, there = site.machines[HERE], site.machines[THERE]
    with GuestStream(site.cluster.hosts["client"].namespace, site.guest.ip, ECHO) as echo:
        with copying_on_demand(site) as migration:
            here.execute("migrate-pause")
            done = migration.result(300)

        assert (done.returncode, "the guest and its network are at the destination" in done.stderr) == (1, True), done
        assert site.active() == [THERE]
        assert here.status() != "running"

        again = f"{there.incoming}-again"
        there.execute_out_of_band("migrate-recover", uri=again)
        here.execute("migrate-set-parameters", **{"max-postcopy-bandwidth": 0})
        here.execute("migrate", uri=again, resume=True)
        wait_until(lambda: migration_status(site, THERE) == "completed", "the rest of the memory", 120.0)
        assert site.active() == [THERE]
        echo.wait_heard("after the recovery")


def test_a_source_that_dies_during_the_copy_on_demand_gets_nothing_of_the_network_back(site: Site) -> None:
    with copying_on_demand(site) as migration:
        site.machines[HERE].kill()
        done = migration.result(300)

    assert (done.returncode, "the guest and its network are at the destination" in done.stderr) == (1, True), done
    assert site.active() == [THERE]
    assert site.station(HERE).states() == []


def test_a_snapshot_that_is_reverted_keeps_its_network_without_a_request(site: Site) -> None:
    machine, client = site.machines[HERE], site.cluster.hosts["client"].namespace
    place = {"tag": "before", "vmstate": "snapshots", "devices": ["snapshots"]}
    machine.job("snapshot-save", **place)
    with GuestStream(client, site.guest.ip, ECHO) as echo:
        echo.wait_heard("after the snapshot")
    known = events(site)

    machine.job("snapshot-load", **place)

    assert (site.statuses()[0], site.active(), site.station(HERE).states()) == ("running", [HERE], ["associated"])
    with GuestStream(client, site.guest.ip, ECHO) as echo:
        echo.wait_heard("after the way back")
    assert events(site) == known


def events(site: Site) -> list[object]:
    """Events of the VSI."""
    return [event for event in site.cluster.controller.get("/evb/events") if event["vsi"] == site.guest.uuid]
