"""An unmodified lldpad as the EVB station of a hypervisor, asked through vdptool.

lldpad runs in the hypervisor's network namespace (its control socket is an abstract one) and in its mount
namespace (it keeps its pid in /dev/shm).  vdptool's exit status says nothing, its text does: see ``read_answer``.
"""

from __future__ import annotations

import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Protocol

from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.harness.shell import PATIENCE, Namespace, end, wait_until
from ryu_apps.topologies.station_host import lldpad_config


class VdptoolMode(Enum):
    """Requests of a station; the values are vdptool's words."""

    PREASSOCIATE = "preassoc"
    PREASSOCIATE_RR = "preassoc-rr"
    ASSOCIATE = "assoc"
    DEASSOCIATE = "deassoc"


@dataclass(frozen=True, slots=True)
class VdptoolVsi:
    """A VM's interface as a station names it to the bridge.

    Attributes:
        uuid: canonical text.
        type_id, version: VSI type.
        filters: vdptool's filter entries, e.g. ``100-52:54:00:aa:00:01``.
        ip: the VM's IPv4 address, told with Cisco's organizational TLV; None keeps it to itself.
        manager: VSI manager ID.
        ip6: the VM's IPv6 address; vdptool has no word for it, emulated stations tell it.
        others: more addresses, of other interfaces of the VM; told as ``ip6`` is.
    """

    uuid: str
    type_id: int
    version: int
    filters: tuple[str, ...]
    ip: str | None = None
    manager: str = "vcm1"
    ip6: str | None = None
    others: tuple[str, ...] = ()

    def arguments(self, mode: VdptoolMode, migrating: bool = False) -> list[str]:
        """vdptool's ``-V`` and ``-c`` arguments; ``migrating`` sets the M bit (first request of a VSI only)."""
        settings = [
            f"mode={mode.value}",
            f"mgrid2={self.manager}",
            f"typeid={self.type_id}",
            f"typeidver={self.version}",
            f"uuid={self.uuid}",
            "hints=to" if migrating else "hints=none",
            *(f"filter={entry}" for entry in self.filters),
        ]
        if self.ip is not None:
            settings.append(f"oui=cisco,ipv4_addr={self.ip}")
        return ["-V", mode.value, *(word for setting in settings for word in ("-c", setting))]


def numbered(number: int, type_id: int, version: int, vid: int) -> VdptoolVsi:
    """One of many VSIs, numbers up to 20 bits: all its names come from the number."""
    mac = (0x525401000000 | number).to_bytes(6).hex(":")
    uuid = f"00000000-0000-4000-8000-{number:012x}"
    ip = f"10.{64 | number >> 16}.{number >> 8 & 255}.{number & 255}"
    return VdptoolVsi(uuid, type_id, version, (f"{vid}-{mac}",), ip)


@dataclass(frozen=True, slots=True)
class VdptoolAnswer:
    """Result of a request.

    Attributes:
        granted: the bridge said yes to exactly what was asked.
        reason: why not; empty when granted.
        asked, answered: monotonic seconds around the request, the station's own time included.
        filters: vdptool's filter entries of the answer, with the VIDs that the bridge chose; none if refused.
    """

    granted: bool
    reason: str
    asked: float
    answered: float
    filters: tuple[str, ...] = ()

    @property
    def milliseconds(self) -> float:
        """Time from the request to the answer."""
        return 1000.0 * (self.answered - self.asked)


class HypervisorStation(Protocol):
    """Interface of a hypervisor's station; ``interface`` is the uplink."""

    namespace: Namespace
    interface: str

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def kill(self) -> None: ...

    def wait_ready(self, limit: float = 35.0) -> None: ...

    def request(self, mode: VdptoolMode, vsi: VdptoolVsi, migrating: bool = False) -> VdptoolAnswer: ...

    def holds(self, mode: VdptoolMode, vsi: VdptoolVsi) -> bool: ...


class StationError(TestbedError):
    """A station cannot be used at all (which is not the same as being refused)."""


#: Seconds between two attempts to get an answer through vdptool.
_PAUSE = 0.1
#: What vdptool prints when lldpad has not answered it within 2 s.
_UNSERVED = "timed out"
#: Stations are machines of their own: they do not wait for what else this one does.
_PRIORITY = ("nice", "-n", "-5")


class LldpadStation:
    """lldpad on one uplink."""

    def __init__(
        self,
        namespace: Namespace,
        interface: str,
        folder: Path,
        groups: bool = False,
        pid_file: bool = False,
        reflective_relay: bool = True,
    ) -> None:
        """
        Args:
            groups: GroupIDs are supported.
            reflective_relay: request it, as a VEPA does.
            pid_file: write ``/run/lldpad.pid``, by which libvirt finds the daemon; ``/run`` has to be its own.
        """
        self.namespace = namespace
        self.interface = interface
        self._folder = folder
        self._groups = groups
        self._reflective_relay = reflective_relay
        self._options = () if pid_file else ("-p",)
        self._daemon: subprocess.Popen[bytes] | None = None
        # vdptool -W prints the next event of whichever VSI: one at a time.
        self._turn = threading.Lock()
        self._answered: dict[str, tuple[str, ...]] = {}

    def start(self) -> None:
        """Start the daemon; it is usable only when :meth:`wait_ready` returns."""
        config = self._folder / f"{self.namespace.name}-lldpad.conf"
        text = lldpad_config(self.interface, self._reflective_relay, self._groups)
        config.write_text(text, encoding="ascii")
        log = self._folder / f"{self.namespace.name}-lldpad.log"
        command = (*_PRIORITY, "lldpad", *self._options, "-f", str(config), "-V", "4")
        self._daemon = self.namespace.popen(*command, log=log, mounts=True)

    def stop(self) -> None:
        """Stop the daemon; like every station it says goodbye in LLDP but not in VDP."""
        if self._daemon is not None:
            end(self._daemon)

    def kill(self) -> None:
        """End the daemon as a crash would."""
        assert self._daemon is not None, "not started"
        self._daemon.send_signal(signal.SIGKILL)
        self._daemon.wait()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The daemon does not run in here, and goes on behind it where it was (SIGSTOP, SIGCONT)."""
        assert self._daemon is not None, "not started"
        self._daemon.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._daemon.send_signal(signal.SIGCONT)

    def wait_ready(self, limit: float = 35.0) -> None:
        """Wait until EVB is agreed with the bridge.

        Raises:
            StationError: not within ``limit`` seconds.
        """
        try:
            wait_until(self._ready, f"{self.namespace.name}: EVB TLV of the bridge", limit, pause=0.1)
        except TimeoutError as error:
            raise StationError(str(error)) from None

    def request(self, mode: VdptoolMode, vsi: VdptoolVsi, migrating: bool = False) -> VdptoolAnswer:
        """Ask the bridge and wait for its answer.

        vdptool waits 2 s for lldpad and 5 s for the answer.  Where a machine is so busy that this does not suffice, it
        is run again: to repeat a request changes nothing.
        """
        # lldpad finds a VSI by the filter of the bridge's answer, not by that of its first request.
        known = replace(vsi, filters=self._answered.get(vsi.uuid, vsi.filters))
        command = "-T", "-W", *known.arguments(mode, migrating)
        with self._turn:
            asked = time.monotonic()
            text = self._vdptool(*command)
            while not is_answer(text, vsi.uuid) and time.monotonic() < asked + PATIENCE:
                time.sleep(_PAUSE)
                text = (
                    self._vdptool(*command) if mode is not VdptoolMode.DEASSOCIATE or self._lists(vsi) else _left(vsi)
                )
            answered = time.monotonic()
        reason = read_answer(text, mode, vsi.uuid)
        filters = () if reason else read_filters(text, known.filters)
        if mode is VdptoolMode.DEASSOCIATE or reason:
            self._answered.pop(vsi.uuid, None)
        else:
            self._answered[vsi.uuid] = filters
        return VdptoolAnswer(not reason, reason, asked, answered, filters)

    def holds(self, mode: VdptoolMode, vsi: VdptoolVsi) -> bool:
        """Return True if lldpad lists the VSI in this mode."""
        command = "-t", "-V", mode.value, "-c", f"mode={mode.value}", "-c", f"uuid={vsi.uuid}"
        text = self._vdptool(*command)
        finish = time.monotonic() + PATIENCE
        while _UNSERVED in text and time.monotonic() < finish:
            text = self._vdptool(*command)
        return vsi.uuid in text and _UNSERVED not in text

    def _lists(self, vsi: VdptoolVsi) -> bool:
        return any(self.holds(mode, vsi) for mode in VdptoolMode)

    def _ready(self) -> bool:
        # lldpad takes VDP up with the second LLDPDU of the bridge, not with the first.
        statistics = self._call("lldptool", "-S", "-i", self.interface, "-g", "ncb")
        received = re.search(r"Total Frames Received\s*= (\d+)", statistics)
        return received is not None and int(received[1]) >= 2 and "mode:bridge" in self._bridge_tlv()

    def _bridge_tlv(self) -> str:
        return self._call("lldptool", "-t", "-n", "-i", self.interface, "-g", "ncb", "-V", "evb")

    def _vdptool(self, *arguments: str) -> str:
        return self._call("vdptool", "-i", self.interface, *arguments)

    def _call(self, *command: str) -> str:
        done = subprocess.run(self.namespace.argv(command), capture_output=True, text=True, timeout=30)
        return done.stdout + done.stderr


def is_answer(text: str, uuid: str) -> bool:
    """Return True if vdptool's output is about this VSI's request: the bridge's answer, or a refusal of lldpad.

    It is not while lldpad waits for the answer to an earlier request, or if the event of another VSI came first.
    """
    if _UNSERVED in text or "in progress" in text:
        return False
    return "FAILED" in text or _fields(text).get("uuid", "").lower() == uuid.lower()


def _fields(text: str) -> dict[str, str]:
    return dict(line.strip().split(" = ", 1) for line in text.splitlines() if " = " in line)


def read_filters(text: str, requested: tuple[str, ...]) -> tuple[str, ...]:
    """Return the requested filter entries with the VIDs and priorities in vdptool's output.

    vdptool prints 0 in place of a GroupID, so MAC address and GroupID are those of the request.
    """
    tags = re.findall(r"^\s*filter = (\w+)", text, re.MULTILINE)
    if len(tags) != len(requested):
        return requested
    return tuple(tag + entry[len(entry.split("-")[0]) :] for tag, entry in zip(tags, requested, strict=True))


def _left(vsi: VdptoolVsi) -> str:
    """Output of vdptool for a VSI that has de-associated."""
    return f"mode = {VdptoolMode.DEASSOCIATE.value}\nuuid = {vsi.uuid}\n"


def read_answer(text: str, mode: VdptoolMode, uuid: str) -> str:
    """Return the reason why vdptool's output is no success of this request; empty for a success."""
    fields = _fields(text)
    for line in text.splitlines():
        if "Error returned by Bridge:" in line or "Internal Error" in line or line.startswith("FAILED"):
            return line.split(":", 1)[1].strip()
    if "mode" not in fields:
        return "no answer from the bridge"
    if fields.get("uuid", "").lower() != uuid.lower():
        return f"an answer for another VSI, {fields.get('uuid')}"
    if fields["mode"] != mode.value:
        return "refused by the bridge without a reason"
    return ""
