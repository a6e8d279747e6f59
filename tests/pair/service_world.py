"""The station service and a bridge port on one link, with a clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ryu_apps.station import station
from ryu_apps.station.calls import read_call
from ryu_apps.station.service import StationService
from ryu_apps.station.service_events import AtUplink, Called, Emit, PortsShown, Reply, Save, ServiceOutput
from ryu_apps.station.station import Station, Tick
from tests.pair.world import World

UPLINK = "eth0"


class ServiceWorld(World):
    """A :class:`World` whose station is that of a service.

    Attributes:
        answers: by token, as JSON objects.
        saved: what the service wanted to be kept last.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.answers: dict[int, dict[str, Any]] = {}
        self.saved: list[dict[str, Any]] = []
        self._tokens = 0
        self._begin()

    def _begin(self) -> None:
        self.station: Any = StationService({UPLINK: Station(self.timers)}, finds_ports=True)  # type: ignore[assignment]

    def call(self, **written: Any) -> int:
        """Make a call; the token of its answer."""
        self._tokens += 1
        token = self._tokens
        self._serve(self.station.feed(Called(token, read_call(written)), self.now))
        return token

    def asked(self, **written: Any) -> dict[str, Any]:
        """Make a call and run until it is answered."""
        token = self.call(**written)
        self.run_until(lambda: token in self.answers)
        return self.answers[token]

    def run_until(self, condition: Callable[[], bool], limit: float = 60.0) -> None:
        end = self.now + limit
        while not condition():
            assert self.now < end, "not within the limit"
            self.run(0.01)

    def show(self, **ports: tuple[str, ...]) -> None:
        """Open vSwitch shows its ports by ``iface-id``."""
        self._serve(self.station.feed(PortsShown(ports), self.now))

    def restart_service(self) -> None:
        """Kill the service and start it from what it wanted to be kept."""
        self._begin()
        self._serve(self.station.restore(self.saved, self.now))
        self._station(station.LinkUp())
        self.bridge.link(up=True)

    def _station(self, event: Any) -> None:
        self._serve(self.station.feed(event if isinstance(event, Tick) else AtUplink(UPLINK, event), self.now))

    def _serve(self, outputs: list[ServiceOutput]) -> None:
        for output in outputs:
            match output:
                case Emit(_, station.Advertise(tlv)):
                    self._send(tlv, "bridge")
                case Emit(_, station.Transmit(ecpdu)):
                    self._send(ecpdu, "bridge")
                case Reply(token, answer):
                    assert token not in self.answers, "answered twice"
                    self.answers[token] = answer.to_json()
                case Save():
                    self.saved = self.station.saved
