"""Plan of a sweep: every point of the grid, checked before anything starts, and the runs in their order."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, product
from pathlib import Path
from urllib.parse import quote

from ryu_apps.evb.policy.document import Path as ValuePath
from ryu_apps.evb.policy.document import read_document
from ryu_apps.evb.policy.scalars import Scalar
from ryu_apps.testbed.replay.scenario import Scenario, ScenarioError, check_scenario
from ryu_apps.testbed.sweep.errors import SweepError
from ryu_apps.testbed.sweep.parameters import Parameter, Substitution, value_text

#: Points of which the mistakes are listed.
_LISTED = 5
#: Runs of one sweep; a typing error makes more of them quickly.
MAX_RUNS = 100_000


@dataclass(frozen=True, slots=True)
class Point:
    """One combination of values.

    Attributes:
        key: the values as text, in the order of the parameters.
        names: of the parameters.
        scenario: with these values.
    """

    key: tuple[str, ...]
    names: tuple[str, ...]
    scenario: Scenario

    @property
    def label(self) -> str:
        """The values with their names, for people."""
        return label_of(self.names, self.key)

    @property
    def cluster(self) -> str:
        """Text that is equal for points that can share a cluster."""
        file = self.scenario.file
        types = sorted({(vm.type, vm.version) for vm in file.vms.values()})
        return f"{file.cluster.model_dump_json()} {types}"


def label_of(names: Sequence[str], key: Sequence[str]) -> str:
    """Names and values of a point, for people; "all" without parameters."""
    return ", ".join(f"{name}={value}" for name, value in zip(names, key, strict=True)) or "all"


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One run of the scenario at a point.

    Attributes:
        round: counts from 1.
    """

    point: Point
    round: int

    @property
    def key(self) -> tuple[tuple[str, ...], int]:
        """The values, and the round."""
        return self.point.key, self.round

    @property
    def folder(self) -> str:
        """Folder of its report below that of the sweep, a part for each parameter."""
        pairs = zip(self.point.names, self.point.key, strict=True)
        parts = [quote(f"{name}={value}", safe="=:+") for name, value in pairs]
        return "/".join(["runs", *parts, f"round-{self.round}"])


@dataclass(frozen=True, slots=True)
class Plan:
    """A sweep.

    Attributes:
        path, text: of the scenario.
        seed: of the order of the runs.
        runs: all of them, in their order.
    """

    path: Path
    text: str
    parameters: tuple[Parameter, ...]
    repeat: int
    seed: int
    runs: tuple[PlannedRun, ...]


def plan_sweep(path: Path, parameters: Sequence[Parameter], repeat: int, seed: int) -> Plan:
    """Check every point, and order the runs.

    Points that can share a cluster are measured on the same one, round by round, each round in an order drawn from the
    seed: drift of the machine then does not look like the effect of a parameter.

    Raises:
        ScenarioError, SweepError: the scenario has mistakes, alone or with these values.
        OSError: it cannot be read.
    """
    text = path.read_text(encoding="utf-8")
    document = read_document(str(path), text)
    base = check_scenario(document, path)
    number = math.prod(len(parameter.values) for parameter in parameters) * repeat
    if number > MAX_RUNS:
        raise SweepError(f"{number} runs are more than {MAX_RUNS}")
    substitution = Substitution(document, base.file.model_dump())
    points = _points(path, substitution, parameters)
    return Plan(path, text, tuple(parameters), repeat, seed, tuple(_ordered(points, repeat, seed)))


def _points(path: Path, substitution: Substitution, parameters: Sequence[Parameter]) -> list[Point]:
    targets = _targets(substitution, parameters)
    names = tuple(parameter.name for parameter in parameters)
    points, mistakes = [], []
    for values in product(*(parameter.values for parameter in parameters)):
        document = substitution.document(_settings(targets, values))
        key = tuple(map(value_text, values))
        try:
            points.append(Point(key, names, check_scenario(document, path)))
        except ScenarioError as error:
            mistakes.append(f"with {label_of(names, key)}:\n{error}")
    if mistakes:
        more = [f"and with {len(mistakes) - _LISTED} more combinations"] if len(mistakes) > _LISTED else []
        raise SweepError("\n".join([*mistakes[:_LISTED], *more]))
    return points


def _targets(substitution: Substitution, parameters: Sequence[Parameter]) -> list[list[ValuePath]]:
    """Attributes of each parameter; none belongs to two of them."""
    found: list[list[ValuePath]] = []
    owners: dict[ValuePath, str] = {}
    for parameter in parameters:
        found.append(substitution.targets(parameter))
        for target in found[-1]:
            if other := owners.get(target):
                words = ".".join(map(str, target))
                raise SweepError(f"--set {parameter.name}: {words} is set by --set {other} already")
            owners[target] = parameter.name
    return found


def _settings(targets: Sequence[list[ValuePath]], values: Sequence[Scalar]) -> dict[ValuePath, Scalar]:
    return {path: value for paths, value in zip(targets, values, strict=True) for path in paths}


def _ordered(points: Sequence[Point], repeat: int, seed: int) -> Iterator[PlannedRun]:
    positions = {point.cluster: number for number, point in reversed(list(enumerate(points)))}
    sharing = sorted(points, key=lambda point: positions[point.cluster])
    for _, group in groupby(sharing, key=lambda point: point.cluster):
        together = list(group)
        for turn in range(1, repeat + 1):
            # Of the round alone, so that a sweep that goes on with more rounds keeps the order of the former ones.
            for point in random.Random(f"{seed} {turn}").sample(together, len(together)):
                yield PlannedRun(point, turn)
