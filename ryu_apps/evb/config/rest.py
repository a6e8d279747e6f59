"""Access to REST in evbridge.yaml: checks, conversion, and writing."""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.config.bridge_config import RestAccess
from ryu_apps.evb.config.schema import ConfigFile
from ryu_apps.evb.config.service_sections import RestSection
from ryu_apps.evb.config.text import flow_list, flow_map, quoted
from ryu_apps.evb.policy.document import Path


def odd_rest(parsed: ConfigFile) -> Iterator[tuple[Path, str]]:
    """Findings: a certificate without its key, or a key without its certificate."""
    written = parsed.rest
    if (written.certificate is None) != (written.private_key is None):
        given = "certificate" if written.private_key is None else "private_key"
        yield ("rest", given), "TLS needs certificate and private_key"


def rest_access(written: RestSection) -> RestAccess:
    """The section as a value."""
    return RestAccess(tuple(written.names), written.tokens, written.certificate, written.private_key)


def rest_lines(rest: RestAccess) -> list[str]:
    """The lines of the file for this access."""
    paths = {"tokens": rest.tokens, "certificate": rest.certificate, "private_key": rest.private_key}
    parts = {"names": flow_list([quoted(name) for name in rest.names])} if rest.names else {}
    parts |= {name: quoted(path) for name, path in paths.items() if path is not None}
    return [f"rest: {flow_map(parts)}"] if parts else []
