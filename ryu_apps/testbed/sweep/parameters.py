"""Parameters of a sweep: attributes of a scenario by their dotted path, and the values that they take.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from ryu_apps.evb.policy.document import Document, Path
from ryu_apps.evb.policy.scalars import Scalar, plain
from ryu_apps.testbed.replay.schema import HypervisorSpec, LinkSpec
from ryu_apps.testbed.sweep.errors import SweepError

#: Short names of paths.
SHORT_NAMES = {
    "rules": "cluster.rules",
    "n": "cluster.n",
    "ladder": "migrations.*.ladder",
    "copy_ms": "migrations.*.copy_ms",
    "interval_ms": "flows.*.interval_ms",
}
#: All items of a mapping or of a list.
_ALL = "*"
#: Mappings of a scenario whose keys need not be in the file: of single values, and of sections with these defaults.
_OPEN = (("cluster", "parameters"), ("cluster", "max_rules"), ("cluster", "hosts"), ("cluster", "hosts6"))
_OPEN_SECTIONS: Mapping[Path, Mapping[str, Any]] = {
    ("cluster", "links"): LinkSpec().model_dump(),
    ("cluster", "hypervisors"): HypervisorSpec().model_dump(),
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """An attribute, or several of one kind, and the values that it takes.

    Attributes:
        name: as written: a short name or a path.
        path: parts of the path; ``*`` is every item.
        values: in the order in which they were written.
    """

    name: str
    path: tuple[str, ...]
    values: tuple[Scalar, ...]


def read_parameter(written: str) -> Parameter:
    """Read ``PATH=VALUE,VALUE,...``; values are scalars as in the file.

    Raises:
        SweepError: it has no path, no value, or a value twice.
    """
    name, equals, values = written.partition("=")
    texts = [text.strip() for text in values.split(",")]
    name = name.strip()
    if not name or not equals or not all(texts):
        raise SweepError(f"--set {written}: PATH=VALUE,VALUE,... was expected")
    read = tuple(map(plain, texts))
    if len(set(map(value_text, read))) != len(read):
        raise SweepError(f"--set {written}: a value is there twice")
    return Parameter(name, tuple(SHORT_NAMES.get(name, name).split(".")), read)


def value_text(value: Scalar) -> str:
    """A value as text, as in a file."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


class Substitution:
    """Puts values into a scenario.

    The scenario itself has to be without mistakes: of a path that is not in the file the schema's defaults tell that it
    exists.
    """

    def __init__(self, document: Document, whole: Mapping[str, Any]) -> None:
        """
        Args:
            document: the scenario as read.
            whole: the same with all defaults.
        """
        self._document = document
        self._whole = whole

    def targets(self, parameter: Parameter) -> list[Path]:
        """All attributes that a parameter stands for.

        Raises:
            SweepError: the path leads to no attribute, with the place where it ends.
        """
        found = list(self._expand(parameter, (), self._whole))
        if not found:
            raise self._error(parameter, (), "the path leads to nothing: there is no item for *")
        return found

    def document(self, values: Mapping[Path, Scalar]) -> Document:
        """The scenario with other values, at the same places of the file."""
        data = deepcopy(self._document.data)
        for path, value in values.items():
            holder = data
            for part in path[:-1]:
                if isinstance(holder, dict) and part not in holder:
                    holder[part] = {}
                holder = holder[part]
            holder[path[-1]] = value
        changed = self._document
        return Document(changed.file, data, changed.values, changed.keys, list(changed.diagnostics))

    def _expand(self, parameter: Parameter, done: Path, here: Any) -> Iterator[Path]:
        """Paths below ``done``, where the scenario has the value ``here``."""
        rest = parameter.path[len(done) :]
        if not rest:
            if isinstance(here, dict | list):
                kind = "mapping" if isinstance(here, dict) else "list"
                raise self._error(parameter, done, f"{_text(done)} is a {kind}, not a single value")
            yield done
            return
        part = rest[0]
        if part == _ALL and isinstance(here, dict | list):
            for key in here if isinstance(here, dict) else range(len(here)):
                yield from self._expand(parameter, (*done, key), here[key])
        elif len(rest) == 1 and done in _OPEN:
            yield (*done, part)
        elif done in _OPEN_SECTIONS and part not in here:
            yield from self._expand(parameter, (*done, part), _OPEN_SECTIONS[done])
        else:
            key = self._key(parameter, done, here, part)
            yield from self._expand(parameter, (*done, key), here[key])

    def _key(self, parameter: Parameter, done: Path, here: Any, part: str) -> Any:
        if isinstance(here, list):
            if part.isdecimal() and int(part) < len(here):
                return int(part)
            known = f"it has 0 to {len(here) - 1}, and *"
        elif isinstance(here, dict):
            if part in here:
                return part
            known = f"it has {', '.join(map(str, here))}" if here else "it is empty"
        else:
            known = "it is a single value"
        raise self._error(parameter, done, f"{_text(done) or 'the scenario'} has no {part!r}; {known}")

    def _error(self, parameter: Parameter, path: Path, reason: str) -> SweepError:
        place = self._document.value_place(path)
        return SweepError(f"{self._document.file}:{place.line}:{place.column}: --set {parameter.name}: {reason}")


def _text(path: Path) -> str:
    return ".".join(map(str, path))
