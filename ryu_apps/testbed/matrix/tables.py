"""The founding paper's three tables with measured cells, and three of our own.  Pure: cells in, tables out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from ryu_apps.testbed.matrix import complexity, paper, verdicts
from ryu_apps.testbed.matrix.cells import TRIGGERS, Cell, RowKey
from ryu_apps.testbed.matrix.groups import ConfiguredWorkload, JoinWorkload
from ryu_apps.testbed.matrix.record import rows_of
from ryu_apps.testbed.matrix.run import SUSPENSION
from ryu_apps.testbed.matrix.tcp import ProxyWorkload
from ryu_apps.testbed.matrix.verdicts import Spread, TriggerPair, VerdictRule, Verdicts
from ryu_apps.testbed.matrix.workload import Workload
from ryu_apps.vcm.move_events import LIVE_LADDERS, Ladder

NONE = "-"
_UNSAID = (NONE, NONE)


class MatrixTable(NamedTuple):
    """A table for people."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(cells: Sequence[Cell], workloads: Sequence[type[Workload]]) -> dict[str, MatrixTable]:
    """All tables that have rows, by their name in the manual."""
    made = {
        "configuration": configuration(cells),
        "triggers": triggers(cells),
        "attributes": attributes(cells, workloads),
        "fix-up": fix_up(cells),
        "groups": groups(cells),
        "contexts": contexts(cells),
    }
    return {name: table for name, table in made.items() if table.rows}


def configuration(cells: Sequence[Cell]) -> MatrixTable:
    """Service by staging, activation and fix-up: one trigger, most connections, least latency, the usual suspension."""
    head = (
        *("service", "live", "Pre-Associate with RR: paper", "found", "Associate to answer"),
        *("post migration: paper", "found", "broken", "trespassed"),
    )
    chosen = _with_most([cell for cell in cells if cell.trigger == "single"], Ladder.MINIMIZE_LATENCY)
    return MatrixTable("Service configuration relative to migration", head, tuple(map(_configured, chosen)))


def _configured(cells: Sequence[Cell]) -> tuple[str, ...]:
    service, live = cells[0].service, cells[0].live
    before, after = paper.CONFIGURATION.get(service, _UNSAID)
    rules, carried = _count(cells, lambda cell: cell.rules), _count(cells, lambda cell: cell.carried)
    staged = f"{rules} rules, {carried} of state" if carried != "0" else f"{rules} rules"
    late = _count(cells, lambda cell: cell.fixed_up)
    fixed = f"{late} of state in {_ms(cells, lambda cell: cell.until_fixed_up)}" if late != "0" else "nothing to do"
    return (
        *(service, str(live), before, f"{staged} in {_ms(cells, lambda cell: cell.stage_ms)}"),
        *(_ms(cells, lambda cell: cell.associate_ms), after, fixed),
        *(str(sum(cell.broken for cell in cells)), str(sum(cell.trespassed for cell in cells))),
    )


def triggers(cells: Sequence[Cell]) -> MatrixTable:
    """Work of the source's trigger, the rest for the destination's, and the benefit by rule."""
    head = (
        *("service", "live", "ladder", "source trigger: paper", "found", "benefit", "the paper's word"),
        *("destination trigger: paper", "found"),
    )
    decided = verdicts.verdicts(cells)
    rows = [
        _triggered(chosen, decided, cells)
        for ladder in LIVE_LADDERS
        for chosen in _with_most([cell for cell in cells if cell.trigger == "dual"], ladder)
    ]
    return MatrixTable("Service migration relative to trigger", head, tuple(sorted(rows)))


def _triggered(chosen: Sequence[Cell], decided: dict[RowKey, Verdicts], cells: Sequence[Cell]) -> tuple[str, ...]:
    service, ladder = chosen[0].service, chosen[0].ladder
    source, destination = paper.TRIGGER.get(service, _UNSAID)
    early = _count(chosen, lambda cell: cell.early)
    late = _count(chosen, lambda cell: cell.fixed_up)
    gate = f"gate in {_ms(chosen, lambda cell: cell.associate_ms)}"
    here = [verdict for row, verdict in decided.items() if (row.service, row.ladder) == (service, ladder)]
    worth = paper.benefit(here)
    grows = _grows([cell for cell in cells if (cell.service, cell.ladder) == (service, ladder)])
    return (
        *(service, str(chosen[0].live), ladder, source, f"{early} of state" if early != "0" else "nothing to do"),
        *(worth, paper.agreement(source, worth, grows)),
        *(destination, f"{gate}, {late} of state" if late != "0" else gate),
    )


def _grows(cells: Sequence[Cell]) -> bool:
    """True if the fix-up with one trigger is longer with most connections than with fewest, by more than the ranges."""
    usual = [cell for cell in cells if cell.trigger == "single" and cell.suspension == SUSPENSION and cell.live]
    few, most = (choose((cell.live for cell in usual), default=0) for choose in (min, max))
    short, long = (Spread.of(cell.until_fixed_up for cell in usual if cell.live == live) for live in (few, most))
    return short is not None and long is not None and long.lowest > short.highest


def attributes(cells: Sequence[Cell], workloads: Sequence[type[Workload]]) -> MatrixTable:
    """Rows of the paper: complexity, configuration, time of the fix-up."""
    head = ("attribute", "single: paper", "found", "dual: paper", "found", "verdict")
    rows = (*_complexity(cells), *_lines(cells, workloads), *_fix_up_time(cells))
    return MatrixTable("Single vs. dual trigger", head, rows)


def _complexity(cells: Sequence[Cell]) -> Iterator[tuple[str, ...]]:
    for ladder in LIVE_LADDERS:
        found = _by_trigger([cell for cell in cells if cell.ladder == ladder.value])
        if all(found.values()):
            single, dual = (complexity.complexity(found[trigger]) for trigger in TRIGGERS)
            verdict = complexity.simpler(single, dual)
            yield f"Complexity, {ladder.value}", "Simpler", str(single), "More complex", str(dual), verdict


def _lines(cells: Sequence[Cell], workloads: Sequence[type[Workload]]) -> Iterator[tuple[str, ...]]:
    names = {cell.service for cell in cells}
    single, dual = (
        [complexity.configuration_lines(workload, trigger) for workload in workloads if workload.service in names]
        for trigger in TRIGGERS
    )
    if not single:
        return
    verdict = complexity.simpler(single, dual)
    words = [f"{sum(lines)} lines for {len(lines)} services" for lines in (single, dual)]
    yield "Configuration, lines of VSI types", "Simpler", words[0], "More complex", words[1], verdict
    found = _by_trigger(cells)
    parts = [complexity.shares(found[trigger]) for trigger in TRIGGERS]
    if parts[0] and parts[1]:
        verdict = f"single relies on {parts[0].relies_on}, dual on {parts[1].relies_on}"
        said = "Relies on Pre-Associate with RR", "Primarily relies on first trigger"
        yield "Configuration, state", said[0], str(parts[0]), said[1], str(parts[1]), verdict


def _fix_up_time(cells: Sequence[Cell]) -> Iterator[tuple[str, ...]]:
    decided = verdicts.verdicts(cells)
    for service in dict.fromkeys(cell.service for cell in cells):
        found = Counter(verdict.fix_up for row, verdict in decided.items() if row.service == service)
        if found:
            words = "; ".join(f"{verdict}: {count} of {found.total()} rows" for verdict, count in found.most_common())
            yield f"Fix-up time, {service}", "Equal", NONE, "Equal / service-dependent faster", NONE, words


def fix_up(cells: Sequence[Cell]) -> MatrixTable:
    """Rows with something to fix up: its time, its cost to connections, the answer to Associate, and the verdicts."""
    head = (
        *("service", "live", "ladder", "suspended", "in fact", "answer, single", "dual", "fix-up, single", "dual"),
        *("dropped / sent again, single", "dual", "longest silence, single", "dual", "verdicts"),
    )
    decided = verdicts.verdicts(cells)
    ordered = sorted(verdicts.pairs(cells).items(), key=lambda item: item[0])
    rows = tuple(_fixed(row, pair, decided[row]) for row, pair in ordered if decided[row].fix_up != verdicts.NOTHING)
    return MatrixTable("Fix-up by suspension, and its cost to connections", head, rows)


def _fixed(row: RowKey, pair: TriggerPair, decided: Verdicts) -> tuple[str, ...]:
    return (
        *(row.service, str(row.live), row.ladder, f"{row.suspension:g} s"),
        _ms((*pair.single, *pair.dual), lambda cell: cell.suspended_ms),
        *(_ms(cells, lambda cell: cell.associate_ms) for cells in pair),
        *(_ms(cells, lambda cell: cell.until_fixed_up) for cells in pair),
        *(f"{_count(cells, lambda cell: cell.dropped)} / {_count(cells, _sent_again)}" for cells in pair),
        *(_ms(cells, lambda cell: cell.silence_ms) for cells in pair),
        "; ".join((decided.fix_up, decided.cost, *([decided.answer] if decided.answer != verdicts.EQUAL else []))),
    )


def _sent_again(cell: Cell) -> int | None:
    return cell.retransmitted


def groups(cells: Sequence[Cell]) -> MatrixTable:
    """Groups that the NMS has configured beside groups that the bridge has learned; one trigger, least latency."""
    services = JoinWorkload.service, ConfiguredWorkload.service
    head = (
        "groups",
        *(f"{figure}, {kind}" for figure in ("staging", "Associate", "dropped") for kind in ("learned", "configured")),
    )
    found = _usual(cells, services)
    figures: tuple[Callable[[Sequence[Cell]], str], ...] = (
        lambda these: _ms(these, lambda cell: cell.stage_ms),
        lambda these: _ms(these, lambda cell: cell.associate_ms),
        lambda these: _count(these, lambda cell: cell.dropped),
    )
    rows = tuple(
        (str(live), *(figure(found.get((service, live), [])) for figure in figures for service in services))
        for live in sorted({live for _, live in found})
    )
    return MatrixTable("Groups: learned from the VM, and configured by the NMS", head, rows)


def contexts(cells: Sequence[Cell]) -> MatrixTable:
    """TCP contexts in the proxies beside the pins in the switches that lead to them; one trigger, least latency."""
    head = ("connections", "pins moved (rules)", "contexts moved", "contexts left at the source's proxy")
    rows = tuple(
        (
            str(live),
            _count(these, lambda cell: cell.carried + cell.early + cell.fixed_up),
            _count(these, lambda cell: cell.contexts_moved),
            _count(these, lambda cell: cell.contexts_left),
        )
        for (_, live), these in sorted(_usual(cells, (ProxyWorkload.service,)).items())
    )
    return MatrixTable("TCP contexts and pins", head, rows)


def rule_table(title: str, rules: Sequence[VerdictRule]) -> MatrixTable:
    """Verdicts and their conditions; the first that holds decides."""
    return MatrixTable(title, ("verdict", "if"), tuple((rule.verdict, rule.condition) for rule in rules))


def _by_trigger(cells: Iterable[Cell]) -> dict[str, list[Cell]]:
    found: dict[str, list[Cell]] = {trigger: [] for trigger in TRIGGERS}
    for cell in cells:
        found[cell.trigger].append(cell)
    return found


def _usual(cells: Sequence[Cell], services: Sequence[str]) -> dict[tuple[str, int], list[Cell]]:
    """Cells of one trigger, least latency and the usual suspension, by service and number of connections."""
    found: dict[tuple[str, int], list[Cell]] = {}
    for cell in cells:
        usual = cell.trigger, cell.ladder, cell.suspension
        if cell.service in services and usual == ("single", Ladder.MINIMIZE_LATENCY.value, SUSPENSION):
            found.setdefault((cell.service, cell.live), []).append(cell)
    return found


def _with_most(cells: Sequence[Cell], ladder: Ladder) -> list[list[Cell]]:
    """For each service the rounds with most connections on a ladder, of the usual suspension if there are any."""
    best: dict[str, RowKey] = {}
    for cell in cells:
        if cell.ladder == ladder.value:
            best[cell.service] = max(best.get(cell.service, cell.row), cell.row, key=_rank)
    found = rows_of(cells)
    return [[cell for these in found[row].values() for cell in these] for row in best.values()]


def _rank(row: RowKey) -> tuple[bool, int]:
    return row.suspension == SUSPENSION, row.live


def _ms(cells: Iterable[Cell], figure: Callable[[Cell], float | None]) -> str:
    return _spread(cells, figure, ".1f", " ms")


def _count(cells: Iterable[Cell], figure: Callable[[Cell], float | None]) -> str:
    return _spread(cells, figure, "g")


def _spread(cells: Iterable[Cell], figure: Callable[[Cell], float | None], form: str, unit: str = "") -> str:
    found = Spread.of(map(figure, cells))
    if found is None:
        return NONE
    ends = f" ({found.lowest:{form}} to {found.highest:{form}})" if found.lowest != found.highest else ""
    return f"{found.median:{form}}{ends}{unit}"


def as_text(table: MatrixTable) -> str:
    """The table as reStructuredText, which a plain file can have as well."""
    lines = [f".. list-table:: {table.title}", "   :header-rows: 1", ""]
    for row in (table.head, *table.rows):
        lines += [f"   {'* -' if number == 0 else '  -'} {text}" for number, text in enumerate(row)]
    return "\n".join(lines) + "\n"
