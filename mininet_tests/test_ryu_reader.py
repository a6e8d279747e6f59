"""A cluster whose bridge has every OpenFlow message read and dispatched by Ryu, without the short cut."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from mininet_tests.conftest import emulated_cluster, tables, wait_as_found
from ryu_apps.testbed.guests import HTTPS, arrives, is_dropped, running
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.shell import run, wait_until

pytestmark = [pytest.mark.privileged, pytest.mark.slow]


@pytest.fixture(scope="module")
def read_by_ryu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with emulated_cluster(tmp_path_factory.mktemp("reader"), openflow_reader="ryu") as cluster:
        yield cluster


def test_vms_reach_each_other_and_leave_no_rule(read_by_ryu: Cluster) -> None:
    before = tables(read_by_ryu)
    with running(read_by_ryu, 1, "hv1") as near, running(read_by_ryu, 2, "hv5") as far:
        assert arrives(near.namespace, far.namespace, far.ip, HTTPS)
        assert arrives(far.namespace, near.namespace, near.ip, HTTPS)
        assert is_dropped(near.namespace, far.namespace, far.ip, 5002, HTTPS)
    wait_as_found(partial(tables, read_by_ryu), before)
    assert_all_read(read_by_ryu)


def test_rules_that_others_delete_come_back(read_by_ryu: Cluster) -> None:
    """Open vSwitch reports the deletion in updates of a flow monitor, which are messages of experimenters to Ryu."""
    with running(read_by_ryu, 1, "hv1"):
        before = tables(read_by_ryu)
        run(["ovs-ofctl", "-O", "OpenFlow13", "del-flows", "s1"])
        wait_until(lambda: tables(read_by_ryu) == before, "deleted rules")
    assert_all_read(read_by_ryu)


def assert_all_read(cluster: Cluster) -> None:
    log = cluster.controller.log.read_text(encoding="utf-8")
    assert "Traceback" not in log and "cannot read a message" not in log and "cannot deal with" not in log
