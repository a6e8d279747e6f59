"""Stations that are unmodified lldpads name a VSI manager (``mgrid2``), whose types are files on a web server."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.policy.offer import HttpSource
from ryu_apps.evb.vsi_types.managers import VsiManagers
from ryu_apps.evb.wire.manager_text import manager_from_text
from ryu_apps.testbed.flow_dumps import dump_rules
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.controller import APPS
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import end, wait_until
from ryu_apps.testbed.harness.station import VdptoolAnswer, VdptoolMode, VdptoolVsi
from ryu_apps.topologies import two_switch

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

MANAGER, PORT = "profiles", 8700
#: lldpad's words for error 3.
OUT_OF_REACH = "Unable to contact VSI Mgr"
#: What the bridge proposes: its stations outlast a restart of the controller on a busy machine.
RWD = 19


@dataclass
class FileServer:
    """Python's own web server over a folder, which can be ended and started again."""

    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(self.folder)]
        with self.folder.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen([*command, str(PORT)], stdout=log, stderr=log)
        wait_until(self._answers, "the web server")

    def stop(self) -> None:
        if self.process is not None:
            end(self.process)
            self.process = None

    def offer(self, type_id: int, version: int) -> None:
        """Put a policy there."""
        where = self.folder / str(type_id) / f"{version}.yaml"
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(
            f"version: 1\nvsi_type: {{type_id: {type_id}, version: {version}, name: from the manager}}\n"
            "to_vm: {rules: [{rule: {tcp_dst: 80, actions: {allow: 1}}}]}\n"
        )

    @property
    def asked(self) -> list[str]:
        """The requests so far."""
        lines = self.folder.with_suffix(".log").read_text().splitlines()
        return [line.partition('"GET ')[2].partition(" ")[0] for line in lines if ".yaml" in line]

    @staticmethod
    def _answers() -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{PORT}/", timeout=1):
                return True
        except (URLError, OSError):
            return False


@dataclass
class Managed:
    """A cluster without policies of its own, and the manager that has them."""

    cluster: Cluster
    server: FileServer

    def request(self, mode: VdptoolMode, number: int, version: int = 1, at: str = "hv1") -> VdptoolAnswer:
        return self.cluster.hypervisors[at].station.request(mode, vm(number, version))

    def tables(self) -> dict[str, list[str]]:
        return {switch.name: dump_rules(switch.name) for switch in self.cluster.fabric.switches.values()}

    def type(self, version: int = 1) -> dict[str, object]:
        found = self.cluster.controller.get(f"/evb/vsitypes/900/{version}?manager={MANAGER}")
        assert isinstance(found, dict)
        return found


def vm(number: int, version: int) -> VdptoolVsi:
    address = f"100-52:54:00:ab:00:{number:02x}"
    return VdptoolVsi(f"00000000-0000-4000-8000-0000000009{number:02x}", 900, version, (address,), manager=MANAGER)


@pytest.fixture
def managed(tmp_path: Path) -> Iterator[Managed]:
    fabric = two_switch.fabric(8)
    source = HttpSource(f"http://127.0.0.1:{PORT}/", timeout=5.0)
    managers = VsiManagers({manager_from_text(MANAGER): source})
    written = dump_config(BridgeConfig(fabric, state_dir="state", vsi_managers=managers))
    config = f"timers: {{rwd: {RWD}}}\n{written}"
    (tmp_path / "cluster").mkdir()
    (tmp_path / "types").mkdir()
    server = FileServer(tmp_path / "types")
    with inside():
        try:
            server.start()
            with Cluster(fabric, two_switch.END_SYSTEMS, tmp_path / "cluster", config, APPS) as cluster:
                yield Managed(cluster, server)
        finally:
            server.stop()


def test_manager_comes_and_goes_and_what_is_in_force_stays(managed: Managed) -> None:
    server, controller = managed.server, managed.cluster.controller
    server.offer(900, 1)
    assert managed.request(VdptoolMode.ASSOCIATE, 1).granted
    assert server.asked == ["/900/1.yaml"]
    assert managed.type()["managers"] == [MANAGER] and managed.type()["stale"] is False

    server.stop()
    server.offer(900, 2)
    refused = managed.request(VdptoolMode.ASSOCIATE, 2, version=2)
    assert (refused.granted, OUT_OF_REACH in refused.reason) == (False, True), refused.reason
    assert managed.request(VdptoolMode.ASSOCIATE, 3, at="hv5").granted, "the type is known"

    before = managed.tables()
    controller.kill()
    controller.start(APPS)
    controller.wait_connected(2)
    after = managed.tables()
    assert {name: sorted({*before[name]} ^ {*after[name]}) for name in before} == {"s1": [], "s2": []}
    assert managed.type()["stale"] is True
    assert managed.request(VdptoolMode.ASSOCIATE, 4, at="hv6").granted, "and is known after a restart"

    with socket.create_server(("127.0.0.1", PORT)):
        hung = managed.request(VdptoolMode.ASSOCIATE, 2, version=2)
    assert (hung.granted, OUT_OF_REACH in hung.reason) == (False, True), hung.reason

    server.start()
    assert managed.request(VdptoolMode.ASSOCIATE, 2, version=2).granted
    missing = managed.request(VdptoolMode.ASSOCIATE, 5, version=9)
    assert not missing.granted and OUT_OF_REACH not in missing.reason
    outcomes = [event["kind"] for event in controller.get("/evb/events") if event["kind"].startswith("vsitype.")]
    assert outcomes == ["vsitype.unreachable", "vsitype.unreachable", "vsitype.fetched"]
