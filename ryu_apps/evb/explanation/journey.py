"""The way of a frame from switch to switch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from ryu_apps.evb.explanation.cluster import Port, PortView, SwitchView
from ryu_apps.evb.flow.actions import (
    CONTROLLER,
    Output,
    OutputGroup,
    Resubmit,
)
from ryu_apps.evb.flow.actions import Clone as CloneAction
from ryu_apps.evb.flow.match import REGISTERS
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.evb.simulation.steps import LookedUp, MeterPassed, Sent
from ryu_apps.evb.simulation.switch import Trace, steps

#: Most switches that the copies of one frame reach; more of them are a loop.
MOST_VISITS = 128
#: Fields that a frame has only inside a switch.
_PIPELINE = {"in_port", "metadata", *REGISTERS}
#: Tables that count a frame whose fate an earlier table has decided.
_COUNTING = {Table.REFUSED_FROM, Table.REFUSED_TO, Table.COUNTED_FROM, Table.COUNTED_TO}


class End(Enum):
    """The end of a copy of a frame in a switch."""

    LINK = "goes over a link"
    PORT = "leaves the fabric"
    CONTROLLER = "goes to the controller"
    WAY_BACK = "is not sent back by its ingress port"
    DOWN = "is lost at a port that is down"


@dataclass(frozen=True, slots=True)
class Departure:
    """A copy that has reached a port.

    Attributes:
        fields: of the copy; the pipeline fields tell its VSI.
        view: None: the configuration has no such port.
    """

    end: End
    port: Port
    fields: Mapping[str, int]
    view: PortView | None


@dataclass(frozen=True, slots=True)
class Visit:
    """A frame at a switch.

    Attributes:
        number: of the visit, from 0.
        frame: match fields at the arrival, ``in_port`` among them.
        departures: in their order; none: the frame is dropped.
        cut: there were too many visits, and links lead on that are not followed.
    """

    number: int
    switch: SwitchView
    frame: Mapping[str, int]
    trace: Trace
    departures: tuple[Departure, ...]
    cut: bool = False

    @property
    def shut(self) -> bool:
        """The meter of a shut gate drops the frame."""
        return any(isinstance(step, MeterPassed) and step.exceeded for step in self.trace.steps)

    @property
    def last(self) -> LookedUp | None:
        """The lookup that decided a frame that is dropped; None: it is not dropped here."""
        if self.departures or self.trace.error is not None:
            return None
        lookups = [step for step in self.trace.steps if isinstance(step, LookedUp)]
        deciding = [step for step in lookups if step.table not in _COUNTING and step.level == 0]
        return (deciding or lookups)[-1]


def travel(start: Port, frame: Mapping[str, int], switch: Callable[[int], SwitchView]) -> Iterator[Visit]:
    """Follow a frame and its copies, switch by switch; nearer switches come first.

    Args:
        start: port at which it comes in.
        frame: its match fields.
        switch: the switch of a datapath id, asked for when the frame reaches it.
    """
    waiting = deque([(start, frame)])
    number = 0
    while waiting:
        port, fields = waiting.popleft()
        here = switch(port.dpid)
        arrived = {**fields, "in_port": port.number}
        trace = _until_dropped(steps(here.table, arrived, here.live))
        departures = () if trace.error is not None else tuple(_departures(here, trace))
        onward = [departure for departure in departures if departure.end is End.LINK]
        cut = bool(onward) and number + len(waiting) + len(onward) >= MOST_VISITS
        yield Visit(number, here, arrived, trace, departures, cut)
        number += 1
        for departure in () if cut else onward:
            assert departure.view is not None
            assert departure.view.peer is not None
            waiting.append((departure.view.peer, _outside(departure.fields)))


def _until_dropped(trace: Trace) -> Trace:
    """The steps up to the meter of a shut gate; a switch goes on behind it, but without effect."""
    for number, step in enumerate(trace.steps, start=1):
        if isinstance(step, MeterPassed) and step.exceeded:
            return trace._replace(steps=trace.steps[:number], error=None)
    return trace


def _outside(fields: Mapping[str, int]) -> dict[str, int]:
    return {name: value for name, value in fields.items() if name not in _PIPELINE}


def _departures(switch: SwitchView, trace: Trace) -> Iterator[Departure]:
    for step in trace.steps:
        if isinstance(step, Sent):
            view = switch.ports.get(step.port)
            yield Departure(_end(step, view), Port(switch.dpid, step.port), step.fields, view)


def _end(step: Sent, view: PortView | None) -> End:
    if step.port == CONTROLLER:
        return End.CONTROLLER
    if step.way_back:
        return End.WAY_BACK
    if view is not None and view.up is False:
        return End.DOWN
    return End.LINK if view is not None and view.peer is not None else End.PORT


def drops(rule: Rule | None) -> bool:
    """True if a frame ends at a rule: it sends it nowhere."""
    onward = (Output, OutputGroup, Resubmit, CloneAction)
    return rule is None or (rule.goto is None and not any(isinstance(action, onward) for action in rule.apply))
