"""The stateful firewall behind stations that are unmodified lldpads."""

from __future__ import annotations

import pytest

from ryu_apps.testbed.conversations import (
    DNS,
    HTTP,
    asked,
    connected,
    datagram_passes,
    guest,
    passes,
    stack_of,
    trespasses,
)
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.vcm.move_events import LIVE_LADDERS, Ladder

pytestmark = [pytest.mark.privileged, pytest.mark.slow]


@pytest.mark.parametrize("ladder", LIVE_LADDERS)
def test_connections_survive_a_move(cluster: Cluster, ladder: Ladder) -> None:
    peer = stack_of(cluster.hosts["client"])
    with (
        guest(cluster, hypervisor="hv3") as vm,
        connected(peer, vm.stack, HTTP) as (uploader, server),
        asked(vm.stack, peer, DNS) as (listener, streamer),
    ):
        vm.moves("hv7", ladder)
        assert passes(uploader, server)
        assert datagram_passes(streamer, listener)
        assert trespasses(peer, vm.stack, (uploader.getsockname()[1], HTTP)) == ["known"]
