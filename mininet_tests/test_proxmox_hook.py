"""The hookscript for Proxmox, run as Proxmox VE runs it, with ``evbridge station`` at both nodes.

Proxmox itself is not here: the test keeps the configuration files and the process IDs where it would, in its order.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from mininet_tests.conftest import tables, wait_as_found
from ryu_apps.testbed.guests import HTTPS, arrives, places
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.harness.station_daemon import DaemonStation
from ryu_apps.testbed.harness.vm import NamespaceVm

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

HERE, THERE = "hv1", "hv5"
VMID, MAC, IP = 100, "BC:24:11:00:00:01", "10.0.100.93"
VSI = f"mac:{MAC.lower()}"
CONFIG = """\
#Web server%3A behind the firewall
#evb net0 type={type} address={address}
boot: order=scsi0;net0
hookscript: local:snippets/evbridge
memory: 2048
name: web
net0: virtio={mac},bridge=vmbr0,firewall=1,tag=100
scsihw: virtio-scsi-single

[before-upgrade]
#evb net0 type=999
net0: virtio=BC:24:11:00:00:99,bridge=vmbr0,tag=200
"""


class Node:
    """A node of Proxmox: its view of ``/etc/pve`` and ``/run/qemu-server``, and its snippet."""

    def __init__(self, cluster: Cluster, name: str, folder: Path) -> None:
        self.name = name
        self.hypervisor = cluster.hypervisors[name]
        found = self.hypervisor.station
        assert isinstance(found, DaemonStation)
        self.station = found
        self.configs = folder / "nodes" / name / "qemu-server"
        self.pve, self.run = folder / f"pve-{name}", folder / f"run-{name}"
        for made in (self.configs, self.pve, self.run):
            made.mkdir(parents=True)
        (self.pve / "nodes").symlink_to(folder / "nodes")
        (self.pve / "qemu-server").symlink_to(self.configs)
        self.hookscript = folder / f"snippet-{name}"
        program = Path(sys.executable).with_name("evbridge-station")
        options = f"--pve {self.pve} --run {self.run} --control {self.station.control}"
        self.hookscript.write_text(f'#!/bin/sh\nexec {program} proxmox-hook {options} "$@"\n')
        self.hookscript.chmod(0o755)

    def phase(self, phase: str, migrated_from: str = "") -> subprocess.CompletedProcess[str]:
        """Run the hookscript and wait until its output has ended, as ``exec_hookscript`` of Proxmox does."""
        environment = os.environ | {"PVE_MIGRATED_FROM": migrated_from}
        command = [str(self.hookscript), str(VMID), phase]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    @property
    def config(self) -> Path:
        return self.configs / f"{VMID}.conf"

    @property
    def pid_file(self) -> Path:
        return self.run / f"{VMID}.pid"


class Site:
    """Two nodes with one VM."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.nodes = {name: Node(cluster, name, folder) for name in (HERE, THERE)}
        self.vm = NamespaceVm("px1", MAC.lower(), IP)
        cluster.boot(self.vm, HERE)
        self.write_config()

    def write_config(self, type_id: object = 1) -> None:
        self.nodes[HERE].config.write_text(CONFIG.format(type=type_id, address=IP, mac=MAC))

    def start(self) -> None:
        node = self.nodes[HERE]
        assert node.phase("pre-start").returncode == 0
        node.pid_file.write_text(str(self.vm.namespace.pid))
        assert node.phase("post-start").returncode == 0

    def begin_migration(self) -> None:
        """Up to the copy of the memory: the destination's QEMU waits."""
        source, destination = self.nodes[HERE], self.nodes[THERE]
        done = destination.phase("pre-start", source.name)
        assert done.returncode == 0, done.stderr
        destination.pid_file.write_text(str(self.vm.namespace.pid))
        assert destination.phase("post-start", source.name).returncode == 0

    def hand_over(self) -> None:
        """The memory has arrived: the configuration moves, then the VM is resumed."""
        source, destination = self.nodes[HERE], self.nodes[THERE]
        self.vm.pause()
        source.hypervisor.edge.detach(self.vm.port)
        self.vm.carry(source.hypervisor.namespace, destination.hypervisor.namespace)
        destination.hypervisor.edge.attach(self.vm.port, self.vm.mac)
        source.config.rename(destination.config)
        destination.hypervisor.edge.raise_port(self.vm.port)
        self.vm.resume()

    def phases(self) -> dict[str, str]:
        return places(self.cluster, VSI)

    def reached(self) -> bool:
        client = self.cluster.hosts["client"]
        return arrives(self.vm.namespace, client.namespace, client.ip, HTTPS)

    def leave(self) -> None:
        """End the VM wherever it is."""
        for node in self.nodes.values():
            node.pid_file.unlink(missing_ok=True)
            node.station.call("release", VSI)
            if self.vm.port in node.hypervisor.edge.ports:
                self.cluster.shut_down(self.vm.name, node.name)


@pytest.fixture
def site(daemons: Cluster, tmp_path: Path) -> Iterator[Site]:
    before = tables(daemons)
    site = Site(daemons, tmp_path)
    try:
        yield site
    finally:
        site.leave()
    wait_as_found(partial(tables, daemons), before)


def test_a_vm_starts_and_stops(site: Site) -> None:
    site.start()
    assert site.phases() == {HERE: "active"}
    assert site.nodes[HERE].station.status()["vsis"][0]["filters"] == [f"100-{MAC.lower()}"]
    assert site.reached()

    assert site.nodes[HERE].phase("pre-stop").returncode == 0
    assert site.phases() == {HERE: "active"}
    assert site.nodes[HERE].phase("post-stop").returncode == 0
    assert (site.phases(), site.nodes[HERE].station.states()) == ({}, [])


def test_a_refusal_ends_the_start_with_its_reason(site: Site) -> None:
    site.write_config(999)
    done = site.nodes[HERE].phase("pre-start")
    assert (done.returncode, f"associate of VSI {VSI}: refused: error 4" in done.stderr) == (1, True), done.stderr
    assert site.nodes[HERE].station.states() == []


def test_a_mistake_in_the_notes_ends_the_start_and_is_named(site: Site) -> None:
    site.write_config("web")
    done = site.nodes[HERE].phase("pre-start")
    assert (done.returncode, "notes: 'evb net0': type='web' is not a number" in done.stderr) == (1, True)


def test_a_vm_migrates_reserved_before_the_copy_and_associated_when_its_memory_is_there(site: Site) -> None:
    site.start()
    site.begin_migration()
    assert site.phases() == {HERE: "active", THERE: "staged"}
    assert site.reached()

    site.hand_over()
    wait_until(lambda: site.phases() == {THERE: "active"}, "the VSI at the destination only")
    assert site.reached()
    wait_until(lambda: site.nodes[HERE].station.states() == ["withdrawn"], "the end at the source")


def test_a_refused_reservation_ends_the_migration_and_leaves_the_vm_alone(site: Site) -> None:
    site.start()
    site.write_config(999)
    done = site.nodes[THERE].phase("pre-start", HERE)
    assert (done.returncode, f"reserve of VSI {VSI}: refused: error 4" in done.stderr) == (1, True), done.stderr
    assert (site.phases(), site.nodes[THERE].station.states()) == ({HERE: "active"}, [])
    assert site.reached()


def test_a_migration_whose_destination_ends_leaves_nothing_there(site: Site) -> None:
    site.start()
    site.begin_migration()
    # Proxmox ends the QEMU that waits; its configuration has never been at this node.
    site.nodes[THERE].pid_file.unlink()

    wait_until(lambda: site.nodes[THERE].station.states() == [], "the release at the destination")
    assert site.phases() == {HERE: "active"}
    assert site.reached()
