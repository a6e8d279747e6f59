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
        """Associate for a VM that is about to run here, unless it is the one that is arriving; HookRefused."""
        if self._vsis:
            arriving = self._arriving()
            self._all("associate", [vsi for vsi in self._vsis if vsi["vsi"] not in arriving])

    def power_on(self) -> None:
        """Associate for a VM that is about to run here, and does not come from another host; HookRefused."""
        self._all("associate", self._vsis)

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

    def _arriving(self) -> set[str]:
        listed = self._answer({"verb": "status"})["vsis"]
        return {vsi["vsi"] for vsi in listed if vsi["state"] == "reserved" and vsi["migrating"]}

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
