"""Guests of several libvirtds: where they start, move to and end."""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ryu_apps.testbed.harness.controller import Controller
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.hypervisors.domain import Guest
from ryu_apps.testbed.hypervisors.guest_image import READY
from ryu_apps.testbed.hypervisors.libvirtd import Libvirtd

#: Seconds in which a guest boots on a busy machine.
BOOT = 120.0
#: Seconds for what waits for timers of lldpad or libvirt.
LONG = 60.0


class GuestSite(ABC):
    """Hosts and a bridge.

    Attributes:
        controller: the bridge.
    """

    controller: Controller

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    @abstractmethod
    def libvirtds(self) -> Mapping[str, Libvirtd]:
        """The libvirtd of each host, by the host's name."""

    @abstractmethod
    def domain_xml(self, guest: Guest, host: str, console: str) -> str:
        """Return the XML of a guest at a host, whose console is written to a file."""

    def boot(self, guest: Guest, host: str) -> None:
        """Start a guest with ``virsh create`` and wait until it listens.

        Raises:
            CommandError: libvirt refuses.
            DeadlineError: the guest does not boot.
        """
        console = self._console(guest)
        console.unlink(missing_ok=True)
        self.libvirtds[host].virsh("create", str(self._written(guest, host)))
        wait_until(
            lambda: console.exists() and READY in console.read_text(errors="replace"), f"{guest.name} boots", BOOT
        )

    def destroy(self, guest: Guest) -> None:
        """End a guest wherever it is."""
        for host in self.libvirtds.values():
            if host.domain_state(guest.name):
                host.virsh("destroy", guest.name)

    def migrate(self, guest: Guest, source: str, destination: str, *options: str) -> str:
        """Run ``virsh migrate --live`` at the source; returns what it wrote, errors included."""
        return self.libvirtds[source].virsh(*self.migration(guest, source, destination, *options), check=False)

    def migration(self, guest: Guest, source: str, destination: str, *options: str) -> tuple[str, ...]:
        """Return the words of virsh that move a guest; its XML is that for the destination."""
        there = self.libvirtds[destination]
        xml = str(self._written(guest, destination))
        uris = (there.uri, "--migrateuri", f"tcp://{there.address}")
        return "migrate", "--live", "--xml", xml, *options, guest.name, *uris

    @contextmanager
    def slow_migration(
        self, guest: Guest, source: str, destination: str, *options: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A migration that copies until :meth:`finish`: the destination's reservation is granted, the guest runs on."""
        words = self.migration(guest, source, destination, "--bandwidth", "1", *options)
        virsh = self.libvirtds[source].start_virsh(*words)
        try:
            wait_until(lambda: self.places(guest).get(destination) == "staged", "staged at the destination", LONG)
            yield virsh
        finally:
            virsh.kill()
            virsh.wait()

    def finish(self, guest: Guest, source: str, virsh: subprocess.Popen[bytes]) -> str:
        """Let a slow migration end; returns what virsh wrote."""

        def has_ended() -> bool:
            # Again and again: a speed that is set before the copy has begun is replaced by the one of its beginning.
            self.libvirtds[source].virsh("migrate-setspeed", guest.name, "1000", check=False)
            return virsh.poll() is not None

        wait_until(has_ended, "end of the migration", LONG, pause=0.5)
        output, _ = virsh.communicate()
        return output.decode()

    def places(self, guest: Guest) -> dict[str, str]:
        """Return the phase of a guest's VSI by the host at whose port it is, as the bridge has it."""
        found = [vsi for vsi in self.controller.get("/evb/vsis") if vsi["vsi"] == guest.uuid]
        return {attachment["name"]: attachment["phase"] for vsi in found for attachment in vsi["attachments"]}

    def runs_only_at(self, guest: Guest, host: str) -> bool:
        """Return True if a guest runs at a host and nowhere else, and its VSI is active at that host's port only."""
        states = {name: libvirtd.domain_state(guest.name) for name, libvirtd in self.libvirtds.items()}
        return states.pop(host) == "running" and not any(states.values()) and self.places(guest) == {host: "active"}

    def wait_there(self, guest: Guest, host: str) -> None:
        """Wait until a guest is at a host; libvirt's De-Associate of the source takes some seconds."""
        wait_until(lambda: self.runs_only_at(guest, host), f"{guest.name} at {host} only", LONG, pause=0.2)

    def _console(self, guest: Guest) -> Path:
        return self._folder / f"{guest.name}.console"

    def _written(self, guest: Guest, host: str) -> Path:
        xml = self._folder / f"{guest.name}-{host}.xml"
        xml.write_text(self.domain_xml(guest, host, str(self._console(guest))), encoding="utf-8")
        return xml
