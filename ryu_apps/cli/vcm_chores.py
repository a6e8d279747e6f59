"""Sources of the work that ``evbridge vcm serve`` does between requests."""

from __future__ import annotations

from collections.abc import Callable, Container
from functools import partial
from pathlib import Path
from typing import Any

import click

from ryu_apps.cli.rest_client import RestClient
from ryu_apps.cli.vcm_types import UnknownTypesError, types_at, types_of
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.inventory_files import load_with_descriptors
from ryu_apps.rest_daemon import Chore
from ryu_apps.sources import Source
from ryu_apps.vcm.acquired import acquired_of
from ryu_apps.vcm.loader import Loaded
from ryu_apps.vcm_chores import AcquiredDescriptors, ComponentChore, DescriptorChore
from ryu_apps.vcm_server import ManagerApplication


def chores_of(
    loaded: Loaded, source: Source, bridge: RestClient | None, nms: RestClient | None, ovf_interval: int
) -> Callable[[ManagerApplication], tuple[Chore, ...]]:
    """The chores of a manager.

    Args:
        source: the inventory, as it was read at the start.
        bridge: that is asked for VSI types and ports.
        nms: that is asked for components; None: an external executor asks it.
        ovf_interval: seconds between two acquisitions of the descriptors; 0: there is none.
    """

    def made(application: ManagerApplication) -> tuple[Chore, ...]:
        chores = []
        if loaded.file.ovf and ovf_interval:
            acquire = partial(_acquired, loaded, source, bridge)
            chores.append(DescriptorChore(application, acquire).chore(float(ovf_interval)))
        coordination = loaded.inventory.coordination
        if nms is not None and bridge is not None and coordination is not None:
            ask, ports = partial(_answer, nms), partial(_ports, bridge)
            chores.append(ComponentChore(application, coordination, ask, ports).chore())
        return tuple(chores)

    return made


def _acquired(loaded: Loaded, source: Source, bridge: RestClient | None) -> AcquiredDescriptors:
    try:
        again, found = load_with_descriptors(source, _types(loaded, Path(source[0]).parent, bridge))
    except click.ClickException as problem:
        return AcquiredDescriptors({}, problem.message)
    if again is None:
        return AcquiredDescriptors({}, "; ".join(map(str, found)))
    return AcquiredDescriptors(acquired_of(again.inventory))


def _types(loaded: Loaded, folder: Path, bridge: RestClient | None) -> Container[VsiTypeKey] | None:
    try:
        return types_of(loaded.file.cluster, folder) if bridge is None else types_at(bridge)
    except UnknownTypesError:
        return None  # a line at the start says so


def _answer(client: RestClient, path: str) -> Any:
    try:
        return client.get(path)
    except click.ClickException as problem:
        raise OSError(problem.message) from None


def _ports(bridge: RestClient) -> dict[str, str]:
    return {station["name"]: station["port"] for station in _answer(bridge, "/evb/stations")}
