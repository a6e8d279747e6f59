"""The large cluster with stations of our own: 32 hypervisors, VSIs by the dozen, all at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import pytest

from mininet_tests.conftest import CHECKOUT, tables
from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.testbed.emulator import EmulatedStation, StationLoop
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.harness.station import VdptoolAnswer, VdptoolMode, VdptoolVsi
from ryu_apps.topologies import two_switch

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

PER_HYPERVISOR = 4


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    fabric = two_switch.fabric(32)
    config = dump_config(BridgeConfig(fabric, (str(CHECKOUT / "policies"),)))
    folder = tmp_path_factory.mktemp("large")
    # A network of its own: the shared cluster's switches bear the same names.
    with inside(), closing(StationLoop()) as loop:
        station = partial(EmulatedStation, loop)
        with Cluster(fabric, two_switch.END_SYSTEMS, folder, config, station=station) as cluster:
            yield cluster


def vsi(hypervisor: str, number: int) -> VdptoolVsi:
    place = int(hypervisor.removeprefix("hv"))
    return VdptoolVsi(
        f"00000000-0000-4000-9000-{place:06d}{number:06d}", 1, 1, (f"100-52:54:00:cc:{place:02x}:{number:02x}",)
    )


def ask_all(cluster: Cluster, mode: VdptoolMode) -> list[VdptoolAnswer]:
    def ask(place: tuple[str, int]) -> VdptoolAnswer:
        hypervisor, number = place
        return cluster.hypervisors[hypervisor].station.request(mode, vsi(hypervisor, number))

    places = [(name, number) for name in cluster.hypervisors for number in range(PER_HYPERVISOR)]
    with ThreadPoolExecutor(len(places)) as pool:
        return list(pool.map(ask, places))


def test_all_hypervisors_associate_all_their_vsis_at_once(large: Cluster) -> None:
    before = tables(large)
    assert len(large.hypervisors) == 32
    for mode in (VdptoolMode.PREASSOCIATE_RR, VdptoolMode.ASSOCIATE, VdptoolMode.DEASSOCIATE):
        answers = ask_all(large, mode)
        assert [answer.reason for answer in answers if not answer.granted] == []
        assert len(answers) == 32 * PER_HYPERVISOR
        if mode is VdptoolMode.ASSOCIATE:
            assert len(large.controller.get("/evb/vsis")) == 32 * PER_HYPERVISOR
    wait_until(lambda: tables(large) == before, "empty switches again")


def test_a_null_vid_is_filled_in_and_released_as_filled_in(large: Cluster) -> None:
    station = large.hypervisors["hv9"].station
    assert isinstance(station, EmulatedStation)
    asked = VdptoolVsi("00000000-0000-4000-9000-0000000000aa", 1, 1, ("0-52:54:00:cc:ff:01",))
    assert station.request(VdptoolMode.ASSOCIATE, asked).granted
    assert [entry.vid for entry in station.notices[-1].association.filter_info.entries] == [100]
    assert station.holds(VdptoolMode.ASSOCIATE, asked)
    assert station.request(VdptoolMode.DEASSOCIATE, asked).granted
    assert not station.holds(VdptoolMode.ASSOCIATE, asked)


def test_a_refusal_says_why(large: Cluster) -> None:
    unknown = VdptoolVsi("00000000-0000-4000-9000-0000000000bb", 99, 1, ("100-52:54:00:cc:ff:02",))
    answer = large.hypervisors["hv9"].station.request(VdptoolMode.PREASSOCIATE_RR, unknown)
    assert (answer.granted, answer.reason) == (False, "refused: error 4")
