"""A witness of gates: sends as every VM at every place, and to every VM, and notes what comes out where.

What the flow tables promise is one thing, which frames pass is another: a VM that is not associated at a place sends
nothing from there and receives nothing there, and of the frames that it sends from all places at one moment those of
one place pass.
"""

from __future__ import annotations

import errno
import struct
import threading
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from ryu_apps.testbed.faults.rig import Rig, RigVm
from ryu_apps.testbed.harness.capture import FilterProgram, Tap
from ryu_apps.testbed.harness.running import Running
from ryu_apps.testbed.harness.staged import StagedTarget, datagram
from ryu_apps.testbed.raw_frames import RawSocket

#: Seconds between two rounds of frames.
INTERVAL = 0.05
#: What the policy of the VMs lets pass: UDP between their port 443 and any port, here one that nothing else has.
_VM_PORT, _CLIENT_PORT = 443, 4430
_CLIENT = "client"
_NOTE = struct.Struct("!4sBBI")
_MARK = b"wtns"
#: Octets before the ports of a datagram without a tag and without IP options.
_PORTS = 34


def _with_port(offset: int) -> FilterProgram:
    """Pass IPv4 frames that have the client's port there."""
    return [
        (0x28, 0, 0, 12),
        (0x15, 0, 3, 0x0800),
        (0x28, 0, 0, offset),
        (0x15, 0, 1, _CLIENT_PORT),
        (0x06, 0, 0, 262144),
        (0x06, 0, 0, 0),
    ]


@dataclass(slots=True)
class Passed:
    """Frames that passed.

    Attributes:
        sent_from: places from which a VM's frames passed, by VM and round.
        received_at: places at which frames to a VM came out, by VM and round.
    """

    sent_from: dict[str, dict[int, set[str]]] = field(default_factory=lambda: defaultdict(dict))
    received_at: dict[str, dict[int, set[str]]] = field(default_factory=lambda: defaultdict(dict))

    def strangers(self, allowed: Mapping[str, Collection[str]]) -> list[str]:
        """Return VMs and places, as text, of frames that passed where they must not."""
        return sorted(
            f"{guest} {verb} {place}"
            for verb, found in (("sends from", self.sent_from), ("receives at", self.received_at))
            for guest, rounds in found.items()
            for place in set().union(*rounds.values()) - set(allowed[guest])
        )

    @property
    def frames(self) -> int:
        """Their number."""
        found = (*self.sent_from.values(), *self.received_at.values())
        return sum(len(places) for rounds in found for places in rounds.values())

    def longest_overlap(self) -> float:
        """Return the longest time, in seconds, in which a VM's frames passed from two places."""
        return INTERVAL * max((_longest(rounds) for rounds in self.sent_from.values()), default=0)


def _longest(rounds: Mapping[int, set[str]]) -> int:
    longest = run = 0
    for number in sorted(rounds):
        run = run + 1 if len(rounds[number]) > 1 else 0
        longest = max(longest, run)
    return longest


class Witness(Running):
    """Frames of and to some VMs at some places, from :meth:`start` to :meth:`stop`."""

    def __init__(self, rig: Rig, guests: Sequence[RigVm], places: Sequence[str]) -> None:
        self._rig, self._guests, self._places = rig, tuple(guests), tuple(places)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._send, name="witness", daemon=True)
        self._open = ExitStack()
        self._wires: dict[str, RawSocket] = {}
        self._taps: dict[str, Tap] = {}

    def start(self) -> None:
        """Begin to send."""
        cluster = self._rig.cluster
        client = cluster.hosts[_CLIENT]
        ends = {name: (cluster.hypervisors[name].namespace, cluster.hypervisors[name].uplink) for name in self._places}
        for name, (namespace, interface) in {**ends, _CLIENT: (client.namespace, client.interface)}.items():
            self._wires[name] = self._open.enter_context(RawSocket(namespace, interface))
            # The client's port is the destination of what comes to it, and the source of what comes from it.
            program = _with_port(_PORTS + 2 if name == _CLIENT else _PORTS)
            self._taps[name] = cluster.watcher.watch(Tap(namespace, interface, program))
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        for tap in self._taps.values():
            self._rig.cluster.watcher.dismiss(tap)
        self._open.close()

    def passed(self) -> Passed:
        """Return what has passed since this was asked last."""
        self._rig.cluster.watcher.settle()
        passed = Passed()
        for name, tap in self._taps.items():
            seen, tap.sightings = tap.sightings, []
            for sighting in seen:
                at = sighting.data.find(_MARK)
                if sighting.outgoing or at < 0:
                    continue
                _, guest, place, number = _NOTE.unpack_from(sighting.data, at)
                found = passed.sent_from if name == _CLIENT else passed.received_at
                where = self._places[place] if name == _CLIENT else name
                found[self._guests[guest].name].setdefault(number, set()).add(where)
        return passed

    def _send(self) -> None:
        number = 0
        while not self._stopping.wait(INTERVAL):
            number += 1
            for at, guest in enumerate(self._guests):
                for place, name in enumerate(self._places):
                    self._try(name, self._from_vm(guest, _NOTE.pack(_MARK, at, place, number)))
                self._try(_CLIENT, self._to_vm(guest, _NOTE.pack(_MARK, at, len(self._places), number)))

    def _try(self, name: str, frame: bytes) -> None:
        """Send a frame, unless the interface has no room for it: a link that flaps under load, one frame of many."""
        try:
            self._wires[name].send(frame)
        except OSError as error:
            if error.errno not in (errno.ENOBUFS, errno.ENETDOWN):
                raise

    def _from_vm(self, guest: RigVm, note: bytes) -> bytes:
        client = self._rig.cluster.hosts[_CLIENT]
        return datagram(guest.mac, guest.ip, StagedTarget(client.mac, client.ip, _CLIENT_PORT, _VM_PORT), note)

    def _to_vm(self, guest: RigVm, note: bytes) -> bytes:
        client = self._rig.cluster.hosts[_CLIENT]
        return datagram(client.mac, client.ip, StagedTarget(guest.mac, guest.ip, _VM_PORT, _CLIENT_PORT), note)
