"""VSI managers in evbridge.yaml: checks, conversion, and writing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from ryu_apps.evb.config.schema import ConfigFile
from ryu_apps.evb.config.service_sections import HttpManagerSection
from ryu_apps.evb.config.text import flow_map, quoted
from ryu_apps.evb.policy.document import Path
from ryu_apps.evb.policy.offer import HttpSource
from ryu_apps.evb.vsi_types.managers import Here, VsiManagers
from ryu_apps.evb.wire.manager_text import manager_from_text, manager_text
from ryu_apps.evb.wire.vdp import ManagerId

_TEXTS = ("url", "ca_file", "token_file")
#: What would have no meaning, or be sent in the clear, without TLS.
_OF_TLS = ("ca_file", "token_file")


def odd_managers(parsed: ConfigFile) -> Iterator[tuple[Path, str]]:
    """Findings: one Manager ID in two notations, and certificates or a token for a URL without TLS."""
    owners: dict[ManagerId, str | int] = {}
    for written, section in parsed.vsi_managers.managers.items():
        here: Path = ("vsi_managers", "managers", written)
        first = owners.setdefault(manager_from_text(written), written)
        if first != written:
            yield here, f"{written!r} is the same VSI Manager ID as {first!r}"
        if isinstance(section, HttpManagerSection) and not section.url.startswith("https:"):
            for key in (key for key in _OF_TLS if getattr(section, key) is not None):
                yield (*here, key), f"{key} needs a URL of https"


def vsi_managers(parsed: ConfigFile) -> VsiManagers:
    """The managers by their ID."""
    written = parsed.vsi_managers
    listed = {manager_from_text(text): _source(served) for text, served in written.managers.items()}
    return VsiManagers(listed, Here(written.unlisted))


def _source(served: HttpManagerSection | str) -> HttpSource | Here:
    if isinstance(served, str):
        return Here(served)
    return HttpSource(served.url, served.timeout, served.lifetime, served.max_size, served.ca_file, served.token_file)


def manager_lines(found: VsiManagers) -> Iterator[str]:
    """The lines of the file for these managers."""
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
    given = {option.name: getattr(source, option.name) for option in fields(source)}
    parts = {name: value for name, value in given.items() if name == "url" or value != getattr(usual, name)}
    return flow_map({name: quoted(value) if name in _TEXTS else value for name, value in parts.items()})
