"""Topologies by name, for the command line and scenarios.

Standard library only, as everything in this package.
"""

import inspect
import runpy
from importlib import import_module
from typing import Any, NamedTuple

from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.topologies.mininet_topo import EndSystem


class Described(NamedTuple):
    """A fabric, and the end systems that may be at its HOST ports."""

    fabric: Fabric
    hosts: tuple[EndSystem, ...]


def describe(name: str, /, **parameters: int) -> Described:
    """Describe a cluster.

    Args:
        name: a module of topologies/, or a Python file with a function ``fabric`` and perhaps ``END_SYSTEMS``.
        parameters: of ``fabric``.

    Raises:
        ValueError: no such topology, or none with such parameters; the text says which ones it has.
    """
    members = _members(name)
    fabric = members.get("fabric")
    if not callable(fabric):
        raise ValueError(f"no topology {name!r}")
    signature = inspect.signature(fabric)
    try:
        signature.bind(**parameters)
    except TypeError as error:
        raise ValueError(f"{name}: {error}; there is {', '.join(signature.parameters)}") from None
    try:
        described = fabric(**parameters)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return Described(described, (*members.get("END_SYSTEMS", ()), *members.get("PROXIES", ())))


def _members(name: str) -> dict[str, Any]:
    try:
        return runpy.run_path(name) if name.endswith(".py") else vars(import_module(f"ryu_apps.topologies.{name}"))
    except (ModuleNotFoundError, FileNotFoundError):
        raise ValueError(f"no topology {name!r}") from None
