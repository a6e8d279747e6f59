"""Choice of a bridge's store."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ryu_apps.evb.store import Store, StoreChanges, StoreError
from ryu_apps.stores.lock import lock
from ryu_apps.stores.memory import MemoryStore
from ryu_apps.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from ryu_apps.stores.ovsdb.directory import OvsdbDirectory

LOG = logging.getLogger(__name__)

FILE_NAME = "state.sqlite"


def open_shared(remotes: Sequence[str], certificates: tuple[Path, Path, Path] | None, initial: StoreChanges) -> Store:
    """The store on several servers.

    Args:
        remotes: the servers, as ``tcp:HOST:PORT``, ``ssl:HOST:PORT`` or ``unix:PATH``.
        certificates: private key, certificate and authorities for TLS; None: no server needs them.
        initial: the records that a new database begins with.

    Raises:
        StoreError: none of them leads.
    """
    # Only here: the client of Open vSwitch is loaded by whom it serves.
    from ryu_apps.stores.ovsdb.store import Certificates, OvsdbStore

    return OvsdbStore(remotes, initial, certificates and Certificates(*certificates))


def open_directory(remotes: Sequence[str], pod: str, certificates: tuple[Path, Path, Path] | None) -> OvsdbDirectory:
    """The directory of pods; it is connected later.

    Args:
        pod: name of this one.
        remotes, certificates: as of a shared store.
    """
    from ryu_apps.stores.ovsdb.directory import OvsdbDirectory
    from ryu_apps.stores.ovsdb.store import Certificates

    return OvsdbDirectory(remotes, pod, certificates and Certificates(*certificates))


def open_store(state_dir: Path | None, initial: StoreChanges) -> Store:
    """The store in a directory, which is made if it is missing; without one, a store that keeps nothing.

    Args:
        initial: the records that a new store begins with, also one that takes the place of a lost one.

    Raises:
        StoreError: the directory or the file cannot be used.
    """
    if state_dir is None:
        LOG.warning("no state_dir configured: after a restart, state comes back with the stations' keep-alives")
        return MemoryStore(initial)
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{state_dir}: {error.strerror}") from error
    lock(state_dir)
    return SqliteStore(state_dir / FILE_NAME, initial)
