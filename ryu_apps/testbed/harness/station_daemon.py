"""``evbridge station run`` as the station of a hypervisor."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ryu_apps.station_daemon.client import call
from ryu_apps.testbed.harness.shell import PATIENCE, Namespace, end, wait_until
from ryu_apps.testbed.harness.station import StationError, VdptoolAnswer, VdptoolMode, VdptoolVsi

_VERBS = {
    VdptoolMode.PREASSOCIATE: "probe",
    VdptoolMode.PREASSOCIATE_RR: "reserve",
    VdptoolMode.ASSOCIATE: "associate",
    VdptoolMode.DEASSOCIATE: "release",
}
_STATES = {
    VdptoolMode.PREASSOCIATE: "probed",
    VdptoolMode.PREASSOCIATE_RR: "reserved",
    VdptoolMode.ASSOCIATE: "associated",
}


class DaemonStation:
    """The daemon on one uplink, asked through its UNIX socket."""

    def __init__(self, namespace: Namespace, interface: str, folder: Path, *options: str) -> None:
        """
        Args:
            folder: for its socket, its state file and its log.
            options: of ``evbridge station run``, timers for example.
        """
        self.namespace = namespace
        self.interface = interface
        self.control = folder / f"{namespace.name}-station"
        self.state = folder / f"{namespace.name}-station.json"
        self.log = folder / f"{namespace.name}-station.log"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the daemon; a state file of an earlier one is taken up."""
        command = (str(Path(sys.executable).with_name("evbridge")), "station", "run", self.interface)
        paths = ("--control", str(self.control), "--state", str(self.state))
        self._process = self.namespace.popen(*command, *paths, *self._options, log=self.log)

    def stop(self) -> None:
        """End the daemon by SIGTERM."""
        if self._process is not None:
            end(self._process)

    def kill(self) -> None:
        """End the daemon as a crash would."""
        assert self._process is not None, "not started"
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def wait_ready(self, limit: float = 35.0) -> None:
        """Wait until EVB is agreed with the bridge.

        Raises:
            StationError: not within ``limit`` seconds.
        """
        try:
            wait_until(self._agreed, f"{self.namespace.name}: EVB agreement", limit, pause=0.1)
        except TimeoutError as error:
            raise StationError(str(error)) from None

    def request(self, mode: VdptoolMode, vsi: VdptoolVsi, migrating: bool = False) -> VdptoolAnswer:
        """Make a call and wait for its answer."""
        asked = time.monotonic()
        answer = self.call(_VERBS[mode], vsi.uuid, **_description(vsi), migrating=migrating)
        filters = tuple(answer.get("filters", ())) if answer["ok"] else ()
        return VdptoolAnswer(answer["ok"], answer.get("reason", ""), asked, time.monotonic(), filters)

    def call(self, verb: str, uuid: str, **written: Any) -> dict[str, Any]:
        """Make a call; the bridge may wait for a keep-alive of another station before it answers."""
        return call(self.control, {"verb": verb, "vsi": uuid, "deadline": PATIENCE, **written}, PATIENCE)

    def status(self) -> dict[str, Any]:
        """The answer to ``status``."""
        return call(self.control, {"verb": "status"}, 5.0)

    def states(self) -> list[str]:
        """States of its VSIs."""
        return [listed["state"] for listed in self.status()["vsis"]]

    def holds(self, mode: VdptoolMode, vsi: VdptoolVsi) -> bool:
        """Return True if the bridge has granted the VSI in this mode."""
        return (vsi.uuid, _STATES[mode]) in [(listed["vsi"], listed["state"]) for listed in self.status()["vsis"]]

    def _agreed(self) -> bool:
        with suppress(OSError):
            return self.status()["uplinks"][self.interface]["bridge"] is not None
        return False


def _description(vsi: VdptoolVsi) -> dict[str, Any]:
    return {
        "type": vsi.type_id,
        "version": vsi.version,
        "manager": vsi.manager,
        "filters": list(vsi.filters),
        "addresses": [address for address in (vsi.ip, vsi.ip6) if address is not None],
    }
