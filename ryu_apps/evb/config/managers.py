"""VSI managers in evbridge.yaml: what contradicts itself, what it comes to, and how it is written back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from ryu_apps.evb.config.schema import ConfigFile, HttpManagerSection
from ryu_apps.evb.config.text import flow_map, quoted
from ryu_apps.evb.policy.document import Path
from ryu_apps.evb.policy.offer import HttpSource
from ryu_apps.evb.vsi_types.managers import Here, VsiManagers
from ryu_apps.evb.wire.manager_text import manager_from_text, manager_text
from ryu_apps.evb.wire.vdp import ManagerId

_WORDS = ("url", "ca_file")


def odd_managers(parsed: ConfigFile) -> Iterator[tuple[Path, str]]:
    """One Manager ID written in two ways, and authorities that nobody would ask."""
    owners: dict[ManagerId, str | int] = {}
    for written, one in parsed.vsi_managers.managers.items():
        here: Path = ("vsi_managers", "managers", written)
        first = owners.setdefault(manager_from_text(written), written)
        if first != written:
            yield here, f"{written!r} is the same VSI Manager ID as {first!r}"
        if isinstance(one, HttpManagerSection) and one.ca_file is not None and not one.url.startswith("https:"):
            yield (*here, "ca_file"), "over http nobody shows a certificate"


def vsi_managers(parsed: ConfigFile) -> VsiManagers:
    """The managers, by their octets."""
    written = parsed.vsi_managers
    listed = {manager_from_text(one): _source(served) for one, served in written.managers.items()}
    return VsiManagers(listed, Here(written.unlisted))


def _source(served: HttpManagerSection | str) -> HttpSource | Here:
    if isinstance(served, str):
        return Here(served)
    return HttpSource(served.url, served.timeout, served.lifetime, served.max_size, served.ca_file)


def manager_lines(found: VsiManagers) -> Iterator[str]:
    """The lines of the file that these come from."""
    if found == VsiManagers():
        return
    yield "vsi_managers:"
    yield f"  unlisted: {found.unlisted.value}"
    if found.listed:
        yield "  managers:"
    for manager_id, source in found.listed.items():
        yield f"    {quoted(manager_text(manager_id))}: {_written(source)}"


def _written(source: HttpSource | Here) -> str:
    if isinstance(source, Here):
        return source.value
    usual = HttpSource(source.url)
    given = {one.name: getattr(source, one.name) for one in fields(source)}
    parts = {name: value for name, value in given.items() if name == "url" or value != getattr(usual, name)}
    return flow_map({name: quoted(value) if name in _WORDS else value for name, value in parts.items()})
