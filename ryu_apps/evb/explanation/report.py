"""An explanation as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ryu_apps.evb.explanation.cluster import Owners
from ryu_apps.evb.explanation.journey import MOST_VISITS, Departure, End, Visit
from ryu_apps.evb.explanation.sources import source_of
from ryu_apps.evb.explanation.words import (
    TITLES,
    departure_words,
    frame_words,
    miss_words,
    reason_words,
    receiver_of,
    step_words,
    table_name,
)
from ryu_apps.evb.pipeline.notation import rule_text
from ryu_apps.evb.simulation.steps import LookedUp, Step

_FATES = (End.PORT, End.CONTROLLER)
_WIDTH = 14


@dataclass(frozen=True, slots=True)
class Explanation:
    """All visits of one frame.

    Attributes:
        assumed: words of a VSI that counts as associated; None: none does.
    """

    frame: Mapping[str, int]
    visits: tuple[Visit, ...]
    owners: Owners
    assumed: str | None = None

    def text(self, *, verbose: bool = False) -> Iterator[str]:
        """Lines of text.

        Args:
            verbose: with each rule as ovs-ofctl would show it.
        """
        yield f"frame    {frame_words(self.frame)}"
        if self.assumed is not None:
            yield f"as if    {self.assumed} were associated"
        for visit in self.visits:
            yield ""
            yield from self._visit(visit, verbose)
        yield ""
        yield from (f"result   {line}" for line in self.result())

    def _visit(self, visit: Visit, verbose: bool) -> Iterator[str]:
        switch, port = visit.switch, visit.frame["in_port"]
        view = switch.ports.get(port)
        named = f"{view.name}, {view.role}" if view is not None else "not configured"
        held = "read from the switch" if switch.read else "wanted by the bridge"
        yield f"{switch.name}, in by port {port} ({named}); rules {held}"
        for step in visit.trace.steps:
            yield from self._step(step, verbose)
        if visit.trace.error is not None:
            yield f"  the switch gives up, and sends nothing: {visit.trace.error}"
        if visit.cut:
            yield f"  the frame reaches more than {MOST_VISITS} switches; its further way is left out"

    def _step(self, step: Step, verbose: bool) -> Iterator[str]:
        indent = "  " * (step.level + 1)
        said = step_words(step, self.owners)
        if not isinstance(step, LookedUp):
            yield f"{indent}{'':<{_WIDTH}} {said}"
            return
        title = TITLES.get(step.table)
        yield f"{indent}{table_name(step.table):<{_WIDTH}} {f'{title}: ' if title else ''}{said}"
        if verbose and step.rule is not None:
            yield f"{indent}{'':<{_WIDTH}} {rule_text(step.rule)}"

    def result(self) -> list[str]:
        """Lines about the end of the frame and of its copies."""
        lines = []
        for visit in self.visits:
            lines += [departure_words(d, visit, self.owners) for d in visit.departures if d.end is not End.LINK]
            if visit.trace.error is not None:
                lines.append(f"dropped at {visit.switch.name}: the switch gives up: {visit.trace.error}")
            elif visit.last is not None:
                lines.append(f"dropped at {visit.switch.name}: {reason_words(visit.last, self.owners, visit.shut)}")
        return lines

    @property
    def delivered(self) -> bool:
        """A copy leaves the fabric or goes to the controller."""
        return any(departure.end in _FATES for visit in self.visits for departure in visit.departures)

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "frame": dict(self.frame),
            "words": frame_words(self.frame),
            "as_if_associated": self.assumed,
            "switches": [self._visit_json(visit) for visit in self.visits],
            "result": self.result(),
            "delivered": self.delivered,
        }

    def _visit_json(self, visit: Visit) -> dict[str, Any]:
        return {
            "dpid": f"{visit.switch.dpid:016x}",
            "switch": visit.switch.name,
            "in_port": visit.frame["in_port"],
            "rules": "read" if visit.switch.read else "wanted",
            "steps": [self._step_json(step) for step in visit.trace.steps],
            "error": visit.trace.error,
            "departures": [self._departure_json(departure, visit) for departure in visit.departures],
            "dropped": None if visit.last is None else reason_words(visit.last, self.owners, visit.shut),
            "cut": visit.cut,
        }

    def _step_json(self, step: Step) -> dict[str, Any]:
        shown: dict[str, Any] = {"level": step.level, "words": step_words(step, self.owners)}
        if not isinstance(step, LookedUp):
            return shown
        shown["table"] = table_name(step.table)
        shown["metadata"] = f"{step.fields['metadata']:#018x}"
        if step.rule is None:
            return {**shown, "rule": None, "reason": miss_words(step)}
        source = source_of(step.rule, self.owners)
        return {
            **shown,
            "rule": rule_text(step.rule),
            "owner": source.kind,
            "vsis": list(source.vsis),
            "type": source.type,
            "file": source.file,
            "line": source.line,
        }

    def _departure_json(self, departure: Departure, visit: Visit) -> dict[str, Any]:
        return {
            "end": departure.end.name.lower(),
            "port": departure.port.number,
            "name": None if departure.view is None else departure.view.name,
            "vsi": receiver_of(departure, self.owners),
            "words": departure_words(departure, visit, self.owners),
        }
