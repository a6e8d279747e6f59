"""QEMU on its own: guests with a tap behind a hypervisor's VEPA ports, driven through QMP by the adapter under test."""

from __future__ import annotations

import json
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from ryu_apps.testbed.harness.cluster import Hypervisor
from ryu_apps.testbed.harness.shell import end, run, wait_until
from ryu_apps.testbed.hypervisors.domain import Guest
from ryu_apps.testbed.hypervisors.guest_image import READY, GuestImage

_MACHINE = (
    *("qemu-system-x86_64", "-accel", "tcg", "-machine", "pc", "-m", "128", "-nodefaults", "-display", "none"),
    *("-serial", "file:{console}", "-kernel", "{image.kernel}", "-initrd", "{image.initramfs}"),
    *("-append", "console=ttyS0 quiet evb.ip={guest.ip}/24", "-qmp", "unix:{qmp},server=on,wait=off"),
    # A second one, for the test: QEMU has one client at a time at each.
    *("-qmp", "unix:{monitor},server=on,wait=off"),
    # Where snapshots are kept; the guest has no disk.
    *("-blockdev", "qcow2,node-name=snapshots,file.driver=file,file.filename={snapshots}"),
    *("-netdev", "tap,id=net,ifname={port},script=no,downscript=no"),
    # The guest computes its checksums: the user-space datapath forwards what it is given.
    *("-device", "virtio-net-pci,netdev=net,mac={guest.mac},romfile=,csum=off,gso=off,host_tso4=off"),
)


class QemuGuest:
    """One QEMU process: a guest that boots, or one that is waited for.

    Attributes:
        qmp: path of its QMP socket.
        incoming: URI at which a waiting one expects the migration.
    """

    def __init__(self, guest: Guest, image: GuestImage, hypervisor: Hypervisor, folder: Path, waits: bool) -> None:
        """
        Args:
            hypervisor: where it runs; its uplink carries the guest's frames.
            folder: for its sockets and its console.
            waits: it does not boot; it is stopped until its guest has arrived and QMP continues it.
        """
        place = folder / f"{guest.name}-{hypervisor.name}"
        self.qmp, self._console = place.with_suffix(".qmp"), place.with_suffix(".console")
        self._monitor = place.with_suffix(".monitor")
        self.incoming = f"unix:{place.with_suffix('.incoming')}"
        self._port, self._edge = f"{guest.name}-tap", hypervisor.edge
        hypervisor.namespace.ip(f"tuntap add dev {self._port} mode tap", f"link set {self._port} up")
        snapshots = place.with_suffix(".qcow2")
        run(["qemu-img", "create", "-q", "-f", "qcow2", str(snapshots), "1G"])
        words = {
            "monitor": self._monitor,
            "snapshots": snapshots,
            "console": self._console,
            "image": image,
            "guest": guest,
            "qmp": self.qmp,
            "port": self._port,
        }
        command = [word.format(**words) for word in _MACHINE] + (["-S", "-incoming", self.incoming] if waits else [])
        self._namespace = hypervisor.namespace
        self._process = hypervisor.namespace.popen(*command, log=place.with_suffix(".log"))
        wait_until(lambda: self.qmp.exists() and self._monitor.exists(), f"QMP of {guest.name}")
        # An answer proves that QEMU has opened its tap.  At a server's own switch that leaves for another network
        # namespace, where QEMU would not find it.
        self.execute("query-status")
        hypervisor.edge.attach(self._port, guest.mac)
        hypervisor.edge.raise_port(self._port)

    def wait_booted(self) -> None:
        """Wait until the guest listens."""
        wait_until(lambda: self._console.exists() and READY in self._console.read_text(errors="replace"), "boot", 120.0)

    def status(self) -> str:
        """QEMU's run state, ``ended`` without a process."""
        if self._process.poll() is not None:
            return "ended"
        with suppress(OSError):
            return str(self.execute("query-status")["status"])
        return "ended"

    def execute(self, command: str, **arguments: Any) -> Any:
        """Execute a QMP command; OSError if QEMU does not answer in time."""
        return self._answer("execute", command, arguments)

    def execute_out_of_band(self, command: str, **arguments: Any) -> Any:
        """As :meth:`execute`, also while QEMU's main thread waits for memory of the guest."""
        return self._answer("exec-oob", command, arguments)

    def _answer(self, key: str, command: str, arguments: dict[str, Any]) -> Any:
        wanted = {key: command, "arguments": arguments}
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(60.0)
            connection.connect(str(self._monitor))
            with connection.makefile("rwb", buffering=0) as lines:
                lines.readline()
                for word in ({"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}, wanted):
                    lines.write(json.dumps(word).encode() + b"\n")
                    answer = _answer(lines)
        return answer

    def job(self, command: str, **arguments: Any) -> None:
        """Execute a QMP command that begins a job, and wait for the end of the job; it must succeed."""
        self.execute(command, **{"job-id": command}, **arguments)
        (done,) = wait_until(self._concluded, command)
        assert "error" not in done, done
        self.execute("job-dismiss", id=command)

    def _concluded(self) -> list[dict[str, Any]]:
        return [job for job in self.execute("query-jobs") if job["status"] == "concluded"]

    def kill(self) -> None:
        """End the process, as a crash of its host would."""
        self._process.kill()
        self._process.wait()

    def remove(self) -> None:
        """End the process and remove its tap."""
        end(self._process)
        self._edge.detach(self._port)
        self._namespace.ip(f"link del {self._port}")

    def wait_ended(self) -> None:
        """Wait until the process has ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(30.0)
        assert self._process.poll() is not None, "QEMU has not ended"


def _answer(lines: Any) -> Any:
    while True:
        line = lines.readline()
        if not line:
            raise ConnectionError("QEMU has closed the connection")
        message = json.loads(line)
        if "return" in message:
            return message["return"]
        assert "error" not in message, message
