"""``evbridge station vm``: what a hypervisor requests, and what it makes of a VM's ports, comes from OVF and answer."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import AF_INET, SOCK_STREAM
from typing import Any

import pytest

from mininet_tests.conftest import CHECKOUT, daemon_at, heard_again, tables, wait_as_found
from mininet_tests.test_networks import fabric
from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.staged import StagedTarget, datagram
from ryu_apps.testbed.harness.station_daemon import DaemonStation
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.testbed.raw_frames import RawSocket
from ryu_apps.topologies import two_switch

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

OVF = CHECKOUT / "mininet_tests" / "inventories" / "tenants.ovf"
HERE, THERE = "hv1", "hv5"
#: The red network's VLAN at the switch of each, with priority 5; blue is the other one, without a priority.
RED = {HERE: 100, THERE: 200}
RED1, BLUE1, RED2 = (
    ("52:54:00:c4:00:01", "10.0.100.161"),
    ("52:54:00:c4:00:21", None),
    ("52:54:00:c4:00:02", "10.0.100.162"),
)


@pytest.fixture(scope="module")
def module_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    config = dump_config(BridgeConfig(fabric(), (str(CHECKOUT / "policies" / "tenants"),)))
    folder = tmp_path_factory.mktemp("ovf")
    with inside(), Cluster(fabric(), two_switch.END_SYSTEMS, folder, config, station=DaemonStation) as cluster:
        yield cluster


@pytest.fixture
def cluster(module_cluster: Cluster) -> Iterator[Cluster]:
    """A test leaves the flow tables as it found them."""
    before = tables(module_cluster)
    yield module_cluster
    wait_as_found(partial(tables, module_cluster), before)


@contextmanager
def vm(
    cluster: Cluster, name: str, where: str, first: tuple[str, str], *others: tuple[str, None]
) -> Iterator[NamespaceVm]:
    booted = NamespaceVm(name, *first, others=others)
    cluster.boot(booted, where)
    try:
        yield booted
    finally:
        cluster.shut_down(name, where)


def typed(
    cluster: Cluster, where: str, verb: str, name: str, vm: NamespaceVm, ovf: str, *more: str
) -> list[dict[str, Any]]:
    """Type the command at a hypervisor; returns its answers."""
    station = daemon_at(cluster, where)
    ports = [word for face in vm.interfaces for word in ("--interface", face.port)]
    command = [str(Path(sys.executable).with_name("evbridge")), "station", "vm", verb, name, "--ovf", ovf]
    process = station.namespace.popen(
        *command, "--control", str(station.control), *ports, *more, log=(log := station.log.with_suffix(".typed"))
    )
    process.wait(60)
    lines = log.read_text().splitlines()
    log.unlink()
    return [json.loads(line) for line in lines if line.startswith("{")] or [{"ok": False, "reason": "\n".join(lines)}]


def tags(cluster: Cluster, where: str, port: str) -> bool:
    """True if a port has the filter that writes tags."""
    return " bpf " in cluster.hypervisors[where].namespace.run("tc", "filter", "show", "dev", port, "ingress")


@contextmanager
def website(cluster: Cluster, where: str, folder: Path) -> Iterator[str]:
    """Serve a folder at a hypervisor's own address."""
    namespace = cluster.hypervisors[where].namespace
    namespace.ip("link set lo up")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)), False)
    server.socket.close()
    server.socket = namespace.socket(AF_INET, SOCK_STREAM)
    server.socket.bind(("127.0.0.1", 8000))
    server.server_activate()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield "http://127.0.0.1:8000"
    server.shutdown()
    server.server_close()


def test_ports_get_vlan_and_priority_of_the_answer(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "tenants.ovf").write_bytes(OVF.read_bytes())
    with ExitStack() as stack:
        url = stack.enter_context(website(cluster, THERE, tmp_path))
        here = stack.enter_context(vm(cluster, "o1", HERE, RED1, BLUE1))
        there = stack.enter_context(vm(cluster, "o2", THERE, RED2))
        sender, receiver = RawSocket(here.namespace, "eth0"), RawSocket(there.namespace, "eth0")
        uplink = RawSocket(cluster.hypervisors[THERE].namespace, daemon_at(cluster, THERE).interface)
        target = StagedTarget(there.mac, there.ip, 443)

        def sends() -> bytes:
            sender.send(frame := datagram(here.mac, here.ip, target))
            return frame[-16:]

        address = ("--address", f"eth0={here.ip}")
        reserved = typed(cluster, HERE, "reserve", "red1", here, str(tmp_path), *address)
        assert [found["state"] for found in reserved] == ["reserved", "reserved"]
        (other,) = typed(cluster, HERE, "associate", "red1", here, str(tmp_path))
        assert other["error"] == "conflict" and daemon_at(cluster, HERE).states() == ["reserved", "reserved"]
        first = typed(cluster, HERE, "associate", "red1", here, str(tmp_path), *address)
        assert [(found["adapter"], found["ok"]) for found in first] == [("eth0", True), ("eth1", True)], first
        second = typed(
            cluster, THERE, "associate", "red2", there, f"{url}/tenants.ovf", "--address", f"eth0={there.ip}"
        )
        assert second[0]["ok"], second
        heard = heard_again(receiver, sends)
        assert heard is not None and heard.vid is None, "untagged, as the VM has it"
        tagged = heard_again(uplink, sends)
        assert tagged is not None and (tagged.vid, tagged.pcp) == (RED[THERE], 5), "as the bridge has translated it"
        assert [tags(cluster, HERE, face.port) for face in here.interfaces] == [True, True]
        assert all(found["ok"] for found in typed(cluster, HERE, "release", "red1", here, str(tmp_path)))
        assert typed(cluster, THERE, "release", "red2", there, str(tmp_path))[0]["ok"]
        assert [tags(cluster, HERE, face.port) for face in here.interfaces] == [False, False]
        assert daemon_at(cluster, HERE).states() == []


def test_adapter_that_is_refused_leaves_nothing_of_the_others(cluster: Cluster, tmp_path: Path) -> None:
    text = OVF.read_text()
    (tmp_path / "red1.ovf").write_text(text.replace("<epasd:VSITypeID>2000", "<epasd:VSITypeID>999", 1))
    with vm(cluster, "o1", HERE, RED1, BLUE1) as here:
        answers = typed(cluster, HERE, "associate", "red1", here, str(tmp_path))
        assert [found["ok"] for found in answers] == [True, False] and answers[1]["error"] == "refused"
        assert daemon_at(cluster, HERE).states() == []


def test_mistakes_have_their_lines_and_nothing_is_requested(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "bad.ovf").write_text(OVF.read_text().replace("52:54:00:c4:00:02", "52:54"))
    with vm(cluster, "o2", HERE, RED2) as here:
        (answer,) = typed(cluster, HERE, "associate", "red2", here, str(tmp_path))
        assert "bad.ovf:44:" in answer["reason"], answer
        (answer,) = typed(cluster, HERE, "associate", "green", here, str(OVF))
        assert "no descriptor has a virtual system 'green'" in answer["reason"]
        assert daemon_at(cluster, HERE).states() == []
