"""Connections of a VM that a proxy has, counted from the pins in the flow table of the VM's switch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.evb.services.tcp_proxy.pins import ProxyPin

_PIN = re.compile(rf"table={Table.PROXY_PINS:d}\b.*\bpriority={ProxyPin.LASTING:d}\b")
_PROXY = re.compile(r"(?:set_field|load):(0x[0-9a-f]+|[0-9a-f:]{17})->(?:eth_dst|NXM_OF_ETH_DST\[\])")


@dataclass(frozen=True, slots=True)
class Tie:
    """Connections that a moved VM has through the proxy of a switch that it has left.

    Attributes:
        proxy: end system.
        switch: of the proxy.
        connections: when the goal was reached.
        ended: seconds from the beginning of the goal until the last of them had ended; None: some had not at the end.
    """

    proxy: str
    switch: str
    connections: int
    ended: float | None = None

    def __str__(self) -> str:
        number = f"{self.connections} connection{'s' if self.connections > 1 else ''}"
        when = "not ended at the end of the run" if self.ended is None else f"ended after {self.ended:.1f} s"
        return f"{number} tied to {self.proxy} at {self.switch}, {when}"


def tied(lines: Iterable[str], ip: str, proxies: Mapping[str, str]) -> dict[str, int]:
    """Return the number of established connections of a VM at each proxy that has any.

    Args:
        lines: dump of the VM's switch.
        ip: the VM's IPv4 address.
        proxies: MAC address -> proxy.
    """
    found: Counter[str] = Counter()
    for line in lines:
        if _PIN.search(line) and f"nw_dst={ip}," in line and (written := _PROXY.search(line)):
            found[proxies.get(_mac(written[1]), "")] += 1
    return {proxy: number for proxy, number in found.items() if proxy}


def _mac(written: str) -> str:
    return int(written, 16).to_bytes(6).hex(":") if written.startswith("0x") else written
