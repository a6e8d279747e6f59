"""Short timers: what stations do not refresh expires after 2 s instead of the 16 s of the defaults."""

from __future__ import annotations

from dataclasses import replace

from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Role
from ryu_apps.evb.topology.switch import Switch

#: A keep-alive every 1.3 s.
QUICK = Timers(rwd=17, rka=17)


def quick(fabric: Fabric, timers: Timers = QUICK) -> Fabric:
    """The same fabric, whose station ports propose short timers, or those given."""
    return replace(fabric, switches={dpid: _quick(switch, timers) for dpid, switch in fabric.switches.items()})


def _quick(switch: Switch, timers: Timers) -> Switch:
    return replace(
        switch,
        interfaces={
            number: replace(interface, timers=timers) if interface.role is Role.STATION else interface
            for number, interface in switch.interfaces.items()
        },
    )
