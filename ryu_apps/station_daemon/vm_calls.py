"""The calls to a station that a hypervisor's hook makes for one of its VMs: all of its VSIs, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ryu_apps.station_daemon.client import call

#: Seconds for an answer; the hypervisor waits as long.
PATIENCE = 10.0


class HookRefused(Exception):
    """The start or the migration of a VM has to end."""


class StationCalls:
    """Calls for the VSIs of one VM, all of them or none."""

    def __init__(self, control: Path, vsis: list[dict[str, Any]]) -> None:
        """
        Args:
            control: socket of the station daemon.
            vsis: of the VM, each with the keys of a call.
        """
        self._control, self._vsis = control, vsis

    def arrive(self) -> None:
        """Reserve for a VM that another host is about to send; HookRefused with the bridge's reason."""
        self._all("reserve", self._vsis, migrating=True)

    def start(self) -> None:
        """Associate for a VM whose ports are there, unless it is the one that is arriving; HookRefused."""
        self._all("associate", self._chosen(arriving=False))

    def power_on(self) -> None:
        """Associate for a VM that is about to run here, and does not come from another host; HookRefused.

        At an Open vSwitch the VM's port is not there yet: its VSI is reserved, for :meth:`start` to associate it.
        """
        later = [vsi for vsi in self._vsis if "port" in vsi or "iface_id" in vsi]
        self._all("reserve", later)
        self._all("associate", [vsi for vsi in self._vsis if vsi not in later])

    def arrived(self) -> None:
        """Associate for a VM that has arrived from another host and is stopped here; HookRefused."""
        for vsi in self._chosen(arriving=True):
            self._must("associate", vsi)

    def run(self) -> None:
        """Associate for a VM that runs here; HookRefused."""
        for vsi in self._vsis:
            self._must("associate", vsi)

    def suspend(self) -> None:
        """Announce that a VM has stopped here and moves away."""
        for vsi in self._vsis:
            self._make("suspend", {"vsi": vsi["vsi"]})

    def leave(self) -> None:
        """Release a VM that is not here any more, or does not come."""
        for vsi in self._vsis:
            self._make("release", {"vsi": vsi["vsi"]})

    def _all(self, verb: str, vsis: list[dict[str, Any]], **more: Any) -> None:
        try:
            for vsi in vsis:
                self._must(verb, vsi, **more)
        except HookRefused:
            self.leave()
            raise

    def _chosen(self, arriving: bool) -> list[dict[str, Any]]:
        """The VSIs that are, or are not, reserved for a VM that another host sends."""
        if not self._vsis:
            return []
        listed = self._answer({"verb": "status"})["vsis"]
        expected = {vsi["vsi"] for vsi in listed if vsi["state"] == "reserved" and vsi["migrating"]}
        return [vsi for vsi in self._vsis if (vsi["vsi"] in expected) is arriving]

    def _must(self, verb: str, vsi: dict[str, Any], **more: Any) -> None:
        answer = self._make(verb, vsi, **more)
        if not answer["ok"]:
            raise HookRefused(f"{verb} of VSI {vsi['vsi']}: {answer['reason']}")

    def _make(self, verb: str, vsi: dict[str, Any], **more: Any) -> dict[str, Any]:
        return self._answer({"verb": verb, **vsi, "deadline": PATIENCE, **more})

    def _answer(self, written: dict[str, Any]) -> dict[str, Any]:
        try:
            return call(self._control, written, PATIENCE)
        except OSError as error:
            raise HookRefused(f"{self._control}: {error.strerror or error}; is the station daemon running?") from None
