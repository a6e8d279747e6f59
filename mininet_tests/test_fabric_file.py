"""A fabric of the user's own, from a YAML file: three switches in a ring, played on with real stations."""

from __future__ import annotations

from pathlib import Path

import pytest

from mininet_tests.conftest import CHECKOUT
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.replay.player import replay
from ryu_apps.testbed.replay.scenario import load_scenario

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

FABRIC = f"""\
version: 1
policies: [{CHECKOUT}/policies]
dps:
  north:
    dp_id: 0xa1
    interfaces:
      1: {{name: blade1, role: station, native_vlan: 100}}
      7: {{name: desk, role: host, native_vlan: 100, macs: ["02:00:00:00:0f:01"]}}
      47: {{name: east, role: trunk, link: {{dp: east, port: 48}}}}
      48: {{name: west, role: trunk, link: {{dp: west, port: 47}}}}
  east:
    dp_id: 0xa2
    interfaces:
      1: {{name: blade2, role: station, native_vlan: 100}}
      47: {{name: west, role: trunk, link: {{dp: west, port: 48}}}}
      48: {{name: north, role: trunk, link: {{dp: north, port: 47}}}}
  west:
    dp_id: 0xa3
    interfaces:
      1: {{name: blade3, role: station, native_vlan: 100}}
      47: {{name: north, role: trunk, link: {{dp: north, port: 48}}}}
      48: {{name: east, role: trunk, link: {{dp: east, port: 47}}}}
"""
SCENARIO = """\
version: 1
name: around-the-ring
cluster: {topology: ring.yaml, hosts: {desk: 10.0.100.9}}
vms: {vm1: {at: blade1, mac: "52:54:00:aa:00:01", ip: 10.0.100.11, type: 1, version: 1}}
flows:
  probe: {proto: udp, host: desk, vm: vm1, port: 443, interval_ms: 5}
  denied: {proto: udp, host: desk, vm: vm1, port: 5002, interval_ms: 5, expect: block}
migrations:
  - {vm: vm1, to: blade2, ladder: minimize-latency}
  - {vm: vm1, to: blade3, ladder: safest-exchange}
"""


def test_a_vm_moves_around_the_fabric_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "ring.yaml").write_text(FABRIC, encoding="utf-8")
    (tmp_path / "scenario.yaml").write_text(SCENARIO, encoding="utf-8")
    with inside():
        report = replay(load_scenario(tmp_path / "scenario.yaml"), tmp_path / "out")
    assert [migration.failures for migration in report.migrations] == [(), ()]
    assert all(migration.figures.sent > 200 and migration.figures.blocked > 200 for migration in report.migrations)
