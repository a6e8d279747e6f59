"""Names of ports of switches."""

from __future__ import annotations

from typing import NamedTuple


class PortId(NamedTuple):
    """A port of a switch: datapath id (64 bits) and OpenFlow port number."""

    dpid: int
    port_no: int

    def __str__(self) -> str:
        return f"{self.dpid:016x}:{self.port_no}"
