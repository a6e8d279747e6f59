"""The founding paper's three tables with measured cells.  Pure: cells in, tables out.

The paper's own words stand beside what was found (``said``); they are from *VM Migration Trigger
Discussion*, "Service Configuration Relative to Migration", "Service Migration relative to Trigger" and
"Single vs. Dual-Trigger".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import NamedTuple

from ryu_apps.testbed.matrix.run import TRIGGERS, Cell
from ryu_apps.vcm.move import LIVE_LADDERS, Ladder

NOTHING = "-"
#: What is done in less than this part of the time is done earlier, on a machine that others use too.
_MUCH_EARLIER = 0.5
#: Service -> what the paper says is done at Pre-Associate with Resources, and after the migration.
_CONFIGURATION = {
    "DNS": ("No impact", "No impact"),
    "DHCP": ("No impact", "No impact"),
    "firewall": ("Configure during", "Enable"),
    "load balancer": ("No impact", "No impact"),
    "ACL": ("Configure during", "Enable"),
    "statistics": ("Extract during", "Optional post fix-up"),
    "IGMP filter": ("No impact", "No impact"),
    "IGMP join": ("Configure during", "Fixed up & enable"),
    "TCP proxy": ("Configure during, but not connections created meanwhile", "Always update final context"),
}
#: Service -> what the paper says of the source's and of the destination's trigger.
_TRIGGER = {
    "DNS": ("No need", "No need"),
    "DHCP": ("No need", "No need"),
    "firewall": ("No significant benefit", "Enable"),
    "load balancer": ("No significant benefit", "Enable"),
    "ACL": ("No significant benefit", "Enable"),
    "statistics": ("No significant benefit", "Populate & enable"),
    "IGMP filter": ("No significant benefit", "No significant benefit"),
    "IGMP join": ("Possible benefit - unclear", "Populate & enable"),
    "TCP proxy": ("Value relative to # TCP context", "Populate & enable"),
}


class MatrixTable(NamedTuple):
    """A table for people."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(cells: Sequence[Cell]) -> tuple[MatrixTable, MatrixTable, MatrixTable]:
    """All three."""
    return configuration(cells), triggers(cells), single_or_dual(cells)


def configuration(cells: Sequence[Cell]) -> MatrixTable:
    """Service by stage, activate, fix-up: with most connections, destination's trigger alone, least latency."""
    head = (
        *("service", "live", "Pre-Associate with RR: paper", "found", "Associate to answer"),
        *("post migration: paper", "found", "broken", "trespassed"),
    )
    return MatrixTable("Service configuration relative to migration", head, tuple(map(_configured, _largest(cells))))


def _configured(cell: Cell) -> tuple[str, ...]:
    before, after = _CONFIGURATION.get(cell.service, (NOTHING, NOTHING))
    staged = f"{cell.rules} rules" + (f", {cell.carried} of state" if cell.carried else "")
    fixed = f"{cell.fixed_up} of state in {_ms(cell.fix_up_ms)}" if cell.fix_up_ms is not None else "nothing to do"
    return (
        *(cell.service, str(cell.live), before, f"{staged} in {_ms(cell.stage_ms)}", _ms(cell.associate_ms)),
        *(after, fixed, str(cell.broken), str(cell.trespassed)),
    )


def triggers(cells: Sequence[Cell]) -> MatrixTable:
    """Work of the source's trigger ahead of the Associate, and the rest that was left for the destination's."""
    head = ("service", "live", "ladder", "source trigger: paper", "found", "destination trigger: paper", "found")
    dual = [cell for cell in cells if cell.trigger == "dual"]
    rows = [row for ladder in LIVE_LADDERS for row in _triggered(dual, ladder)]
    return MatrixTable("Service migration relative to trigger", head, tuple(sorted(rows)))


def _triggered(cells: Iterable[Cell], ladder: Ladder) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for cell in _largest([cell for cell in cells if cell.ladder == ladder.value], trigger="dual"):
        source, destination = _TRIGGER.get(cell.service, (NOTHING, NOTHING))
        early = f"{cell.early} of state" if cell.early else "nothing to do"
        late = f"gate in {_ms(cell.associate_ms)}" + (f", {cell.fixed_up} of state" if cell.fixed_up else "")
        found.append((cell.service, str(cell.live), cell.ladder, source, early, destination, late))
    return found


def single_or_dual(cells: Sequence[Cell]) -> MatrixTable:
    """From Associate until all state is in force, by trigger; and whether that is the paper's "equal"."""
    head = ("service", "live", "ladder", "Associate to answer, single", "dual", "fix-up, single", "dual", "verdict")
    groups: dict[tuple[str, int, str], dict[str, list[Cell]]] = {}
    for cell in cells:
        key = cell.service, cell.live, cell.ladder
        groups.setdefault(key, {trigger: [] for trigger in TRIGGERS})[cell.trigger].append(cell)
    rows = tuple(
        (
            service,
            str(live),
            ladder,
            *(_middle(found[trigger], lambda cell: cell.associate_ms) for trigger in TRIGGERS),
            *(_middle(found[trigger], lambda cell: cell.fix_up_ms) for trigger in TRIGGERS),
            _verdict(found),
        )
        for (service, live, ladder), found in groups.items()
    )
    return MatrixTable("Single vs. dual trigger", head, rows)


def _verdict(found: dict[str, list[Cell]]) -> str:
    left = {trigger: sum(cell.fixed_up for cell in cells) for trigger, cells in found.items()}
    if not any(left.values()) and not any(cell.early for cells in found.values() for cell in cells):
        return "equal: nothing to fix up"
    if left["dual"] < left["single"]:
        return f"dual leaves {left['dual']} of {left['single']} to Associate"
    single, dual = (_median(found[trigger], lambda cell: cell.fix_up_ms) for trigger in TRIGGERS)
    if single is not None and dual is not None and dual < _MUCH_EARLIER * single:
        return f"dual is through {_ms(single - dual)} earlier"
    return "equal"


def _largest(cells: Sequence[Cell], trigger: str = "single") -> list[Cell]:
    """Of each service the move with most connections, of those with the least latency."""
    best: dict[str, Cell] = {}
    for cell in cells:
        known = best.get(cell.service)
        rank = (cell.trigger == trigger, cell.ladder == Ladder.MINIMIZE_LATENCY.value, cell.live)
        if known is None or rank > (
            known.trigger == trigger,
            known.ladder == Ladder.MINIMIZE_LATENCY.value,
            known.live,
        ):
            best[cell.service] = cell
    return list(best.values())


def _middle(cells: Iterable[Cell], figure: Callable[[Cell], float | None]) -> str:
    return _ms(_median(cells, figure))


def _median(cells: Iterable[Cell], figure: Callable[[Cell], float | None]) -> float | None:
    values = [value for cell in cells if (value := figure(cell)) is not None]
    return median(values) if values else None


def _ms(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1f} ms"


def as_text(table: MatrixTable) -> str:
    """The table as reStructuredText, which is also what a plain file wants."""
    lines = [f".. list-table:: {table.title}", "   :header-rows: 1", ""]
    for row in (table.head, *table.rows):
        lines += [f"   {'* -' if number == 0 else '  -'} {text}" for number, text in enumerate(row)]
    return "\n".join(lines) + "\n"
