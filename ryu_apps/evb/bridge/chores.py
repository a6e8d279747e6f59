"""Chores of the engine, by their times: what is due at a port, at a switch or in the store."""

from __future__ import annotations

from enum import Enum

from ryu_apps.evb.deadlines import DeadlineQueue
from ryu_apps.evb.topology.port_id import PortId


class Chore(Enum):
    """Kinds of chores besides those of ports.

    A chore of one switch goes with its datapath id, one of an appliance with its number, any other with 0.
    """

    AUDIT = "read a switch to compare it with what it should hold"
    COMPARE = "go on comparing what an audit has read"
    STORE = "write again what a store has refused"
    SWEEP = "remove what no station has claimed"
    BRING_UP = "bring a switch up once more"
    REPAIR = "compare a switch that something else has changed"
    COUNT = "read counters"
    FORGET = "forget the counts of VSIs that are gone"
    ROLE = "ask a switch for its role again"
    HELLO = "send LLDPDUs to the neighbours of a switch"
    PROBE = "probe the instances of an appliance"


#: A port stands for the timers of its protocols.
Agenda = DeadlineQueue[PortId | tuple[Chore, int]]
