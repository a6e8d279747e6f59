"""Labels of metrics about a switch."""

from __future__ import annotations

from ryu_apps.evb.topology.switch import Switch

#: Names of the labels of a switch.
DP = ("dp_id", "dp_name")


def dp_labels(switch: Switch) -> tuple[str, str]:
    """Values of the labels of a switch."""
    return hex(switch.dpid), switch.name
