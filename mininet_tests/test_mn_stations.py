"""``mn --custom`` with a topology of this repository and its hosts with lldpad: stations without the testbed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mininet_tests.conftest import CHECKOUT
from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.testbed.harness.controller import Controller
from ryu_apps.testbed.harness.ovs import PrivateOvs
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.topologies import two_switch

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

#: In a PID namespace of its own: it ends processes by name when it fails, and its stations end with it.
MN = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "/usr/bin/mn")
TOPOLOGY = ("--custom", "topologies/two_switch.py", "--topo", "twoswitch,n=2", "--host", "station")
SWITCH = ("--switch", "ovs,protocols=OpenFlow13,datapath=user", "--controller", "remote")
ASSOCIATE = (
    "hv1 vdptool -i hv1-eth0 -T -W -V assoc -c mode=assoc -c mgrid2=m -c typeid=1 -c typeidver=1"
    " -c uuid=52540000-0000-4000-8000-0000000000aa -c hints=none -c filter=100-52:54:00:aa:00:01"
)


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Controller]:
    """A controller and an Open vSwitch to which mn adds its switches."""
    config = tmp_path / "evbridge.yaml"
    config.write_text(dump_config(BridgeConfig(two_switch.fabric(2), (str(CHECKOUT / "policies"),))))
    (tmp_path / "ovs").mkdir()
    ovs, controller = PrivateOvs(tmp_path / "ovs"), Controller(config, tmp_path)
    with inside():
        try:
            ovs.start()
            controller.start()
            yield controller
        finally:
            controller.stop()
            ovs.stop()


def test_hosts_of_mn_are_stations(bridge: Controller, tmp_path: Path) -> None:
    command = [*MN, *TOPOLOGY, *SWITCH]
    with (tmp_path / "mn.log").open("wb") as log:
        mn = subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=log, stderr=log)
    try:
        bridge.wait_connected(2)
        bridge.wait_agreed(2)
        mn.communicate(f"{ASSOCIATE}\nclient ps -e -o args\nexit\n".encode(), timeout=60)
    finally:
        mn.kill()
        mn.wait()
    shown = (tmp_path / "mn.log").read_text(encoding="utf-8")
    assert mn.returncode == 0 and "mode = assoc\n" in shown, shown
    assert shown.count("lldpad -p -f") == 2 and "*** Done" in shown
    assert [vsi["owner"] for vsi in bridge.get("/evb/vsis")] == ["0000000000000001:1"]
