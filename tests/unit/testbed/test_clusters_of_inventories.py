"""Clusters that inventories ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from ryu_apps.testbed.manager.guests import MismatchError, cluster_of
from ryu_apps.vcm.loader import load_inventory

_INVENTORIES = Path(__file__).parents[3] / "mininet_tests/inventories"


def test_the_peer_of_a_vm_is_an_end_system_of_the_cluster(tmp_path: Path) -> None:
    path = _INVENTORIES / "tenants.yaml"
    text = path.read_text(encoding="utf-8")
    known, mistakes = load_inventory(str(path), text)
    assert known is not None, mistakes
    assert set(cluster_of(known, _INVENTORIES, tmp_path).fabric.switches)
    other, mistakes = load_inventory(str(path), text.replace("host: client2", "host: nobody"))
    assert other is not None, mistakes
    with pytest.raises(MismatchError, match="an end system 'nobody' with an address is needed, the peer of blue1"):
        cluster_of(other, _INVENTORIES, tmp_path)
