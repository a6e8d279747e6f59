"""Probes of the instances of appliances: a VM that hangs, while its port is up, gets no traffic.

Each instance in place is sent one frame an interval, and has to send it on or answer it before the next one.  A frame
has a number that is derived from a secret, and that nothing but the instance is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import sha256

from ryu_apps.evb.bridge.chores import Agenda, Chore
from ryu_apps.evb.bridge.probe_frames import number_of, question, through
from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.bridge import ApplianceAnswers, ApplianceSilent
from ryu_apps.evb.events.effect import Apply, Mode, Save, SendFrame
from ryu_apps.evb.flow.actions import TABLES
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.tokens import TokenTable
from ryu_apps.evb.topology.appliance import Appliance, ApplianceInstance
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.steering import Steering


@dataclass(slots=True)
class _Probed:
    """One instance.

    Attributes:
        ports: of its parts, when it was probed last.
        number: of the probe that has no answer yet; None: it has been answered, or does not count.
        missed: probes without an answer, one after the other.
    """

    ports: tuple[PortId, ...] = ()
    number: int | None = None
    missed: int = 0


class ApplianceProbes:
    """All instances of a fabric that are probed."""

    def __init__(
        self,
        fabric: Fabric,
        steering: Steering,
        up: Collection[int],
        ready: Callable[[int], bool],
        secret: bytes,
        tokens: TokenTable,
        effects: EffectSink,
        agenda: Agenda,
    ) -> None:
        """
        Args:
            up: switches that are sent changes.
            ready: True for a switch that holds what it should.
            secret: at least 16 octets that nothing else knows.
        """
        self._steering, self._up, self._ready = steering, up, ready
        self._secret, self._sent, self._begun = secret, 0, False
        self._tokens, self._effects, self._agenda = tokens, effects, agenda
        self._appliances = {found.number: found for found in fabric.appliances if found.probing is not None}
        self._probed = {
            (appliance.name, instance.name): _Probed()
            for appliance in self._appliances.values()
            for instance in appliance.instances
        }

    def begin(self, now: float) -> None:
        """Begin, or go on, when a switch has become ready."""
        if not self._begun:
            self._begun = True
            for number in self._appliances:
                self._agenda.set((Chore.PROBE, number), now)

    def tick(self, number: int, now: float) -> None:
        """Judge the instances of an appliance by their last probes, and send the next ones."""
        appliance = self._appliances[number]
        assert appliance.probing is not None
        for instance in appliance.instances:
            self._probe(appliance, instance, self._probed[appliance.name, instance.name])
        self._agenda.set((Chore.PROBE, number), now + appliance.probing.interval)

    def wants(self, data: bytes) -> bool:
        """True if a frame is a probe that has come back, or its answer."""
        return bool(self._appliances) and number_of(data) is not None

    def frame(self, data: bytes) -> None:
        """Process such a frame."""
        number = number_of(data)
        for (appliance, instance), probed in self._probed.items():
            if probed.number is not None and probed.number == number:
                probed.number, probed.missed = None, 0
                self._judge(appliance, instance, silent=False)

    def missed(self) -> None:
        """Leave out the probes whose answers may have been lost, because nothing was heard for a time."""
        for probed in self._probed.values():
            probed.number = None

    def _probe(self, appliance: Appliance, instance: ApplianceInstance, probed: _Probed) -> None:
        assert appliance.probing is not None
        parts = self._steering.parts(appliance, instance)
        ports = tuple(part.port for part in parts)
        if not parts:
            probed.ports, probed.number, probed.missed = (), None, 0
            self._judge(appliance.name, instance.name, silent=False)
            return
        if not all(part.up and self._ready(part.port.dpid) for part in parts):
            probed.number = None
            return
        # One that has moved meanwhile may have been sent its probe where it was no more.
        if probed.number is not None and probed.ports == ports:
            probed.missed += 1
            if probed.missed >= appliance.probing.missed:
                self._judge(appliance.name, instance.name, silent=True)
        probed.ports, probed.number = ports, self._next_number()
        self._send(appliance, instance, ports[0], probed.number)

    def _send(self, appliance: Appliance, instance: ApplianceInstance, port: PortId, number: int) -> None:
        if instance.address is not None:
            frame, vid = question(instance.mac, instance.address, number), appliance.vid
        else:
            frame, vid = through(number), instance.inside
        self._effects.put(SendFrame(PortId(port.dpid, TABLES), frame.encode(pad=True, vid=vid)))

    def _next_number(self) -> int:
        self._sent += 1
        return int.from_bytes(sha256(self._secret + self._sent.to_bytes(8)).digest()[:4])

    def _judge(self, appliance: str, instance: str, silent: bool) -> None:
        if self._steering.is_silent(appliance, instance) is silent:
            return
        groups = self._steering.judge(appliance, instance, silent)
        told = ApplianceSilent(appliance, instance) if silent else ApplianceAnswers(appliance, instance)
        self._effects.put(told)
        key, record = self._steering.record(appliance)
        self._effects.put(Save(self._tokens.take(), {key: record}))
        for dpid in sorted(self._up):
            self._effects.put(Apply(dpid, 0, RuleChange(groups=groups[dpid]), Mode.BULK))
