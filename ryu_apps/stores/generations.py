"""The beginning of a life of the bridge, in its store."""

from __future__ import annotations

import logging
import secrets

from ryu_apps.evb.generation import SALT_BITS, Life, begin_life
from ryu_apps.evb.store import Store, StoreChanges, StoreError

LOG = logging.getLogger(__name__)


def begun(store: Store, now: float, unknown: StoreChanges) -> tuple[dict[str, bytes], Life]:
    """Choose the generation of a new life and write it down; returns the records, too.

    A store that takes nothing keeps no bridge from starting: the next life has the clock to tell it from this one.

    Args:
        now: Unix time in seconds.
        unknown: the records of a store that does not know what the switches hold.

    Raises:
        StoreError: the store cannot be read.
    """
    records = {key: record.value for key, record in store.snapshot().items()}
    life = begin_life(records, int(now * 1000), secrets.randbits(SALT_BITS), unknown)
    try:
        store.commit(life.changes)
    except StoreError as error:
        LOG.warning("generation %016x is not saved: %s", life.generation, error)
    if len(life.changes) > 1:
        LOG.warning("another bridge has served the switches since: VSIs come back with their stations' keep-alives")
    changed = {**records, **life.changes}
    return {key: value for key, value in changed.items() if value is not None}, life
