"""Connections of a VM at proxies, in lines as Open vSwitch prints them."""

from __future__ import annotations

from ryu_apps.testbed.measurement.ties import Tie, tied

PROXIES = {"52:54:00:00:64:21": "proxy1", "52:54:00:00:64:22": "proxy2"}


def pin(mac: str, client: int, ip: str = "10.0.100.11", priority: int = 200) -> str:
    return (
        f"cookie=0xeb4760, table=71, priority={priority},tcp,metadata=0x1/0x1,nw_src=10.0.100.2,nw_dst={ip},"
        f"tp_src={client},tp_dst=80 actions=load:0x{mac.replace(':', '')}->NXM_OF_ETH_DST[],load:0x1->NXM_NX_REG2[1]"
    )


def test_connections_are_counted_at_the_proxy_that_has_them() -> None:
    first, second = PROXIES
    lines = [pin(first, 1000), pin(first, 1001), pin(second, 1002)]
    assert tied(lines, "10.0.100.11", PROXIES) == {"proxy1": 2, "proxy2": 1}


def test_pins_of_other_vms_other_kinds_and_other_tables_do_not_count() -> None:
    first, _ = PROXIES
    lines = [
        pin(first, 1, ip="10.0.100.111"),
        pin(first, 2, priority=100),
        pin(first, 3).replace("table=71", "table=72"),
        pin("52:54:00:00:64:23", 4),
    ]
    assert tied(lines, "10.0.100.11", PROXIES) == {}


def test_a_tie_says_whether_it_has_ended() -> None:
    assert str(Tie("proxy1", "s1", 1, 2.04)) == "1 connection tied to proxy1 at s1, ended after 2.0 s"
    assert str(Tie("proxy1", "s1", 3)) == "3 connections tied to proxy1 at s1, not ended at the end of the run"
