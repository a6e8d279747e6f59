"""Guests with IPv6, captures of uplinks and links of a bandwidth, in scenarios on real clusters."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mininet_tests.conftest import CHECKOUT, SCENARIOS
from ryu_apps.evb.topology.interface import Interface
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.links import LinkLimits, LinkLimitsError, check_kernel, limit_links
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import run
from ryu_apps.testbed.replay.player import replay, running_cluster
from ryu_apps.testbed.replay.report import ReplayReport
from ryu_apps.testbed.replay.scenario import Scenario, load_scenario

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

VM, VM6, CLIENT6 = "52:54:00:aa:00:01", "fd00:10::11", "fd00:10::2"
LIMITED = f"""\
version: 1
name: limited
cluster:
  topology: two_switch
  n: 2
  policies: ["{CHECKOUT / "policies"}"]
  links: {{hv1: {{rate_mbit: 100}}, client: {{rate_mbit: 50}}, s1-s2: {{rate_mbit: 200}}}}
vms:
  vm1: {{at: hv1, mac: "{VM}", ip: 10.0.100.11, type: 1, version: 1}}
migrations:
  - {{vm: vm1, to: hv2, ladder: minimize-latency, copy_ms: 10}}
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[ReplayReport, Path, tuple[float, float]]:
    """The scenario of IPv6 with captures: its report, its folder, and Unix times before and after it."""
    folder = tmp_path_factory.mktemp("ipv6")
    begin = time.time()
    with inside():
        report = replay(load_scenario(SCENARIOS / "ipv6.yaml"), folder, pcap=True)
    return report, folder, (begin, time.time())


def shown(file: Path, wanted: str, field: str) -> list[str]:
    """A field of the frames of a capture, as Wireshark reads it."""
    command = ["tshark", "-r", str(file), "-Y", wanted, "-T", "fields", "-e", field]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


Recorded = tuple[ReplayReport, Path, tuple[float, float]]


def test_guests_keep_their_ipv6_flows_along_both_ladders(recorded: Recorded) -> None:
    report, folder, _ = recorded
    assert [migration.failures for migration in report.migrations] == [(), ()]
    log = (folder / "packets.csv").read_text(encoding="utf-8").splitlines()
    for flow, end in (("probe6", "vm1"), ("probe6", "client"), ("stream6", "vm1")):
        arrived = [line for line in log if re.fullmatch(rf"{flow},\w+,{end},.*,[\d.]+", line)]
        assert len(arrived) > 100, flow


def test_each_uplink_has_a_capture_with_a_wall_clock(recorded: Recorded) -> None:
    _, folder, (begin, finish) = recorded
    captures = sorted(path.name for path in (folder / "uplinks").glob("*.pcapng"))
    assert captures == [f"hv{number}.pcapng" for number in range(1, 9)]
    source, destination, other = (folder / "uplinks" / f"{name}.pcapng" for name in ("hv1", "hv5", "hv3"))
    for file in (source, destination):
        times = [float(text) for text in shown(file, f"ipv6.src == {VM6} && udp.dstport == 443", "frame.time_epoch")]
        assert len(times) > 100 and begin < times[0] < times[-1] < finish
    # The clock of the packet log and that of the captures are one, but for the offset: what the VM sent is there.
    offset = json.loads((folder / "report.json").read_text(encoding="utf-8"))["wall_offset"]
    sent = [
        float(line.split(",")[5]) + offset
        for line in (folder / "packets.csv").read_text(encoding="utf-8").splitlines()
        if line.startswith("probe6,udp,vm1,")
    ]
    seen = [float(text) for text in shown(source, f"ipv6.src == {VM6} && udp.dstport == 443", "frame.time_epoch")]
    assert all(any(abs(frame - datagram) < 1 for datagram in sent) for frame in seen[:50])
    # Both VDP requests of the move are there, and nothing of the VM where it never was.
    assert shown(destination, "eth.type == 0x8940", "frame.number")
    assert shown(other, f"eth.addr == {VM}", "frame.number") == []


def test_the_report_names_kernel_and_switch(recorded: Recorded) -> None:
    environment = json.loads((recorded[1] / "report.json").read_text(encoding="utf-8"))["environment"]
    assert environment["kernel"] == platform.release()
    assert re.match(r"\d+\.\d+", environment["openvswitch"])


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scenario, Cluster]]:
    folder = tmp_path_factory.mktemp("limited")
    path = folder / "limited.yaml"
    path.write_text(LIMITED, encoding="utf-8")
    scenario = load_scenario(path)
    with inside(), running_cluster(scenario, folder / "logs") as cluster:
        yield scenario, cluster


def qdisc(cluster: Cluster, device: str, host: str | None = None) -> str:
    """Queueing disciplines of an interface of the switches, or of a hypervisor or end system."""
    command = ("tc", "qdisc", "show", "dev", device)
    return run(command) if host is None else cluster.at(host).run(*command)


def trunks_of(cluster: Cluster) -> Iterator[tuple[Switch, Interface]]:
    """Both ends of the links between the switches, of which there are two."""
    for switch in cluster.fabric.switches.values():
        yield from ((switch, port) for port in switch.interfaces.values() if port.peer is not None)


def test_both_ends_of_a_link_have_its_bandwidth(limited: tuple[Scenario, Cluster]) -> None:
    _, cluster = limited
    trunks = [f"{switch.name}-eth{port.port_no}" for switch, port in trunks_of(cluster)]
    assert len(trunks) == 4
    for device, host, rate in (
        ("s1-eth1", None, "100Mbit"),
        ("hv1-eth0", "hv1", "100Mbit"),
        ("client-eth0", "client", "50Mbit"),
        *((trunk, None, "200Mbit") for trunk in trunks),
    ):
        found = re.search(rf"qdisc tbf 1: root .*rate {rate} ", qdisc(cluster, device, host))
        assert found is not None, qdisc(cluster, device, host)
    assert "tbf" not in qdisc(cluster, "hv2-eth0", "hv2")


def test_a_delay_is_there_or_the_lack_of_it_is_said_before_the_cluster_is_built(
    limited: tuple[Scenario, Cluster],
) -> None:
    wanted = {"hv2": LinkLimits(10, delay_ms=5)}
    tried = ["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]
    if subprocess.run(tried, capture_output=True, check=False).returncode != 0:
        with pytest.raises(LinkLimitsError, match=r"delay_ms of the link hv2: this kernel has no netem"):
            check_kernel(wanted)
        return
    check_kernel(wanted)
    _, cluster = limited
    limit_links(cluster, wanted)
    assert re.search(r"qdisc netem 1: root .*delay 5ms", qdisc(cluster, "hv2-eth0", "hv2"))
    assert re.search(r"qdisc tbf 2: parent 1:1 .*rate 10Mbit", qdisc(cluster, "hv2-eth0", "hv2"))
