"""Proxmox VE's hookscript: reserve, associate and release, and the arrival of a VM that comes from another node.

Proxmox runs the script with the VM's number and a phase, and waits; a failure of *pre-start* ends the start or the
migration.  At the destination of a migration *pre-start* comes before QEMU waits for the memory, and *post-start*
before the memory is copied.  No phase tells that the VM goes on there: Proxmox moves the VM's configuration file to the
node when the memory has arrived, and resumes the VM then.  :func:`arrival` looks for that file.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from logging.handlers import SysLogHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ryu_apps.station_daemon.vm_calls import HookRefused, StationCalls

LOG = logging.getLogger(__name__)

#: Seconds between two looks at the configuration file: pmxcfs notifies of nothing.
_PAUSE = 0.05
#: Of a note that describes a VSI: ``evb net0 type=10 address=10.0.0.11``.
_MARK = "evb"
_NUMBERS = ("type", "version")
_TEXTS = ("vsi", "manager", "uplink", "port")


@dataclass(frozen=True, slots=True)
class Place:
    """Folders of Proxmox: the configuration of the cluster, and the process IDs of this node's VMs."""

    pve: Path
    run: Path


@dataclass(frozen=True, slots=True)
class ProxmoxVm:
    """A VM.

    Attributes:
        number: VMID.
        place: where Proxmox has it.
        control: socket of the station daemon.
    """

    number: int
    place: Place
    control: Path

    @property
    def is_here(self) -> bool:
        """True if this node has its configuration."""
        return self._here.exists()

    @property
    def has_process(self) -> bool:
        """True while its QEMU is there, waiting or running."""
        try:
            pid = int((self.place.run / f"{self.number}.pid").read_text(encoding="ascii"))
            os.kill(pid, 0)
        except (OSError, ValueError):
            return False
        return True

    def calls(self) -> StationCalls:
        """Calls for its VSIs.

        Raises:
            ValueError: a note about its VSIs has a mistake.
            OSError: its configuration cannot be read.
        """
        return StationCalls(self.control, vsis_of(self._config().read_text(encoding="utf-8")))

    @property
    def _here(self) -> Path:
        return self.place.pve / "qemu-server" / f"{self.number}.conf"

    def _config(self) -> Path:
        """While it migrates, and after a failed migration, its configuration is that of another node."""
        if self.is_here:
            return self._here
        return next(self.place.pve.glob(f"nodes/*/qemu-server/{self.number}.conf"), self._here)


def serve(vm: ProxmoxVm, phase: str, migrates: bool) -> None:
    """Do what a phase needs.

    Args:
        phase: as Proxmox names it.
        migrates: the VM comes from another node.

    Raises:
        HookRefused: the start or the migration has to end.
        ValueError, OSError: its configuration cannot be used.
    """
    match phase, migrates:
        case "pre-start", False:
            vm.calls().power_on()
        case "pre-start", True:
            vm.calls().arrive()
        case "post-start", False:
            vm.calls().start()
        case "post-start", True:
            _detached(vm)
        case "post-stop", _:
            vm.calls().leave()


def arrival(vm: ProxmoxVm, calls: StationCalls) -> None:
    """Wait until a VM has arrived, and associate it; release it if its QEMU has ended before.

    Raises:
        HookRefused: the Associate has been refused; the VM runs behind a closed port.
    """
    while not vm.is_here:
        if not vm.has_process:
            calls.leave()
            return
        time.sleep(_PAUSE)
    calls.run()


def _detached(vm: ProxmoxVm) -> None:
    """Wait for the arrival in a process of its own: Proxmox goes on when the script and its output have ended."""
    calls = vm.calls()
    if os.fork():
        return
    try:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(nowhere, descriptor)
        arrival(vm, calls)
    except HookRefused as error:
        logging.basicConfig(handlers=[SysLogHandler("/dev/log")], format="evbridge-station: %(message)s")
        LOG.error("VM %s: %s", vm.number, error)
    finally:
        os._exit(0)


def vsis_of(config: str) -> list[dict[str, Any]]:
    """The VSIs of a VM, each with the keys of a call: those of its interfaces that its notes describe.

    Args:
        config: text of its configuration file; its notes are the lines that begin with ``#``.

    Raises:
        ValueError: a note has a mistake.
    """
    lines = list(_current(config))
    notes = [unquote(line[1:]).split() for line in lines if line.startswith("#")]
    described = [words[1:] for words in notes if words[:1] == [_MARK]]
    settings = dict(line.split(": ", 1) for line in lines if ": " in line and not line.startswith("#"))
    return [_vsi(words, settings) for words in described]


def _current(config: str) -> Iterator[str]:
    """The lines of the VM as it is; those of its snapshots follow."""
    for line in config.splitlines():
        if line.startswith("["):
            return
        yield line


def _vsi(words: list[str], settings: dict[str, str]) -> dict[str, Any]:
    name, *pairs = words or [""]
    if not name.startswith("net") or name not in settings:
        raise ValueError(f"notes: 'evb {name}': the VM has no such interface")
    interface = dict(_pair(written, f"{name}: ") for written in settings[name].split(","))
    note = dict(_pair(written, f"notes: 'evb {name}': ") for written in pairs)
    if unknown := note.keys() - {*_NUMBERS, *_TEXTS, "address"}:
        raise ValueError(f"notes: 'evb {name}': unknown key {min(unknown)!r}")
    if "type" not in note:
        raise ValueError(f"notes: 'evb {name}': the key 'type' is missing")
    # The first key is the model of the card, its value the MAC address: virtio=BC:24:11:00:00:01
    mac = interface.get("macaddr", next(iter(interface.values()))).lower()
    call: dict[str, Any] = {"vsi": f"mac:{mac}"} | {key: note[key] for key in _TEXTS if key in note}
    call |= {key: _number(note[key], name, key) for key in _NUMBERS if key in note}
    if "address" in note:
        call["addresses"] = note["address"].split(",")
    return call | {"filters": [f"{interface.get('tag', '0')}-{mac}"]}


def _pair(written: str, place: str) -> tuple[str, str]:
    key, equals, value = written.partition("=")
    if not equals:
        raise ValueError(f"{place}{written!r} is not KEY=VALUE")
    return key, value


def _number(written: str, name: str, key: str) -> int:
    if not written.isdecimal():
        raise ValueError(f"notes: 'evb {name}': {key}={written!r} is not a number")
    return int(written)
