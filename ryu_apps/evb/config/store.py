"""The shared store in evbridge.yaml: checks, conversion, and writing."""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.config.bridge_config import SharedStore
from ryu_apps.evb.config.schema import ConfigFile
from ryu_apps.evb.config.service_sections import StoreSection
from ryu_apps.evb.config.text import flow_list, flow_map, quoted
from ryu_apps.evb.policy.document import Path

_FILES = ("private_key", "certificate", "ca_file")


def odd_store(parsed: ConfigFile) -> Iterator[tuple[Path, str]]:
    """Findings: a remote twice, files for TLS that are missing or not used, and a second place for the state."""
    written = parsed.store
    if written is None:
        return
    if parsed.state_dir is not None:
        yield ("store",), "the state is in the store or in state_dir, not in both"
    for index, remote in enumerate(written.remotes):
        if remote in written.remotes[:index]:
            yield ("store", "remotes", index), f"{remote} is there twice"
    given = [name for name in _FILES if getattr(written, name) is not None]
    secured = [index for index, remote in enumerate(written.remotes) if remote.startswith("ssl:")]
    if secured and len(given) < len(_FILES):
        yield ("store", "remotes", secured[0]), f"ssl needs {', '.join(_FILES[:-1])} and {_FILES[-1]}"
    if given and not secured:
        yield ("store", given[0]), "no remote is ssl"


def shared_store(written: StoreSection | None) -> SharedStore | None:
    """The section as a value."""
    if written is None:
        return None
    return SharedStore(tuple(written.remotes), written.private_key, written.certificate, written.ca_file)


def store_lines(store: SharedStore | None) -> list[str]:
    """The lines of the file for this store."""
    if store is None:
        return []
    parts = {"remotes": flow_list([quoted(remote) for remote in store.remotes])}
    paths = {name: getattr(store, name) for name in _FILES}
    parts |= {name: quoted(path) for name, path in paths.items() if path is not None}
    return [f"store: {flow_map(parts)}"]
