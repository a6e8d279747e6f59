"""A cluster keeps its hands off what is already there."""

from __future__ import annotations

from pathlib import Path

import pytest

from ryu_apps.testbed.harness.cluster import Cluster, NameClashError
from ryu_apps.testbed.harness.datapath import configured_datapath
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import run
from ryu_apps.topologies import two_switch


@pytest.mark.privileged
@pytest.mark.parametrize("name", ["s2", configured_datapath().device])
def test_a_cluster_is_not_built_beside_something_of_the_same_name(name: str, tmp_path: Path) -> None:
    with inside():
        run(["ip", "link", "add", name, "type", "bridge"])
        with (
            pytest.raises(NameClashError, match=name),
            Cluster(two_switch.fabric(8), two_switch.END_SYSTEMS, tmp_path, ""),
        ):
            pass
