"""Appliances and their instances."""

from __future__ import annotations

from typing_extensions import TypedDict

from ryu_apps.evb.bridge.appliance_queries import ApplianceStatus
from ryu_apps.evb.topology.appliance import ApplianceInstance
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.rest.bridge import Bridge


class PartJson(TypedDict):
    """A leg of a bump in the wire, or a router."""

    vlan: int
    vsi: str | None
    at: str | None


class InstanceJson(TypedDict):
    """An instance of an appliance."""

    name: str
    mac: str | None
    in_use: bool
    silent: bool
    parts: list[PartJson]


class ApplianceJson(TypedDict):
    """An appliance."""

    name: str
    vlan: int
    passed: int | None
    instances: list[InstanceJson]


def appliances(bridge: Bridge, now: float, vlan: int | None = None, after: str = "") -> list[ApplianceJson]:
    """All appliances, or those of the clients of a VLAN, by name."""
    return [
        {
            "name": status.appliance.name,
            "vlan": status.appliance.vid,
            "passed": status.appliance.passed or None,
            "instances": [_instance_json(status, instance) for instance in status.appliance.instances],
        }
        for status in bridge.queries.appliances.all()
        if status.appliance.name > after and vlan in (None, status.appliance.vid)
    ]


def _instance_json(status: ApplianceStatus, instance: ApplianceInstance) -> InstanceJson:
    return {
        "name": instance.name,
        "mac": mac_to_text(instance.mac) if instance.mac else None,
        "in_use": instance.name in status.in_use,
        "silent": instance.name in status.silent,
        "parts": [_part_json(status, instance.name, vid) for vid in instance.legs or (status.appliance.vid,)],
    }


def _part_json(status: ApplianceStatus, instance: str, vid: int) -> PartJson:
    place = status.places.get((instance, vid))
    return {"vlan": vid, "vsi": place.vsi if place else None, "at": str(place.port) if place else None}
