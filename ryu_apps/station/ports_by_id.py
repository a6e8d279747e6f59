"""Ports of the server's Open vSwitch by their ``external_ids:iface-id``."""

from __future__ import annotations

from collections.abc import Mapping

#: ``iface-id`` -> names of the ports that have it, sorted; one is usual.
PortsById = Mapping[str, tuple[str, ...]]
