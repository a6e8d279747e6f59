"""A world whose one switch is a real Open vSwitch."""

from __future__ import annotations

from dataclasses import dataclass

from ryu_apps.evb.events.effect import Apply, Effect, Prepare, ReadRules
from ryu_apps.evb.events.switch import Confirmed, RulesRead, SwitchRead
from ryu_apps.evb.pipeline.tables import OURS
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.switch import GateMode, Switch
from tests.interop.controller import Controller
from tests.worlds.bridge import VLAN, World

PEER_MAC = 0x5254_0000_0F02


@dataclass
class OpenVswitchWorld(World):
    """Its switch has stations at ports 1 and 2 and a host at port 3; what it refuses fails the test."""

    controller: Controller | None = None

    def _perform(self, effect: Effect) -> None:
        assert self.controller is not None
        match effect:
            case Apply(dpid, token, change, mode, lane):
                answer = self.controller.apply(change, mode, lane)
                assert isinstance(answer, Confirmed), answer
                if token:
                    self.feed(Confirmed(dpid, token))
            case Prepare(_, change):
                self.controller.driver.prepare(change)
            case ReadRules(mask=mask) if mask == OURS:
                self.controller.driver.read(effect)
                self.feed(self.controller.until(SwitchRead))
            case ReadRules():
                self.controller.driver.read(effect)
                more = True
                while more:
                    portion = self.controller.until(RulesRead)
                    more = portion.more
                    self.feed(portion)
            case _:
                super()._perform(effect)


def one_switch(dpid: int, gate: GateMode) -> Fabric:
    """A fabric of one switch."""
    stations = [Interface(port, f"hv{port}", Role.STATION, VLAN, timers=Timers(rka=30)) for port in (1, 2)]
    host = Interface(3, "host", Role.HOST, VLAN, macs=(PEER_MAC,))
    return Fabric({dpid: Switch(dpid, "s1", {port.port_no: port for port in (*stations, host)}, gate=gate)})
