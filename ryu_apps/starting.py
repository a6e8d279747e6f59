"""The start of a bridge: its settings, its store, and the engines that it has, one after the other."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Mapping

from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.config import BridgeConfig
from ryu_apps.evb.generation import Life
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.store import Store, StoreError
from ryu_apps.evb.switches.recovery import UNKNOWN
from ryu_apps.evb.vsi.bodies import CompiledTypes
from ryu_apps.settings import BridgeSettings, SettingsError, load_settings
from ryu_apps.stores.generations import begun
from ryu_apps.stores.opening import open_shared, open_store

#: Of a member of a cluster that does not lead, and does not know yet who does.
STANDBY = Life(0, False, {}, standby=True)


def settings_or_exit() -> BridgeSettings:
    """Load evbridge.yaml; mistakes end the program with their lines, and without a traceback."""
    try:
        return load_settings()
    except SettingsError as error:
        raise refusal(error) from None


def refusal(error: SettingsError) -> SystemExit:
    """Return the end of a program whose files have mistakes."""
    return SystemExit(f"evbridge cannot start:\n{error}")


def state_or_exit(settings: BridgeSettings) -> tuple[Store, Mapping[str, bytes], Life]:
    """Open the store, begin a life and read it; an unusable store ends the program with one line of what to do.

    A member of a cluster begins as a standby, without records.
    """
    try:
        if (shared := settings.config.store) is not None:
            store = open_shared(shared.remotes, settings.certificates, UNKNOWN)
        else:
            store = open_store(settings.state_dir, UNKNOWN)
        if settings.config.cluster is not None:
            return store, {}, STANDBY
        return store, *begun(store, time.time(), UNKNOWN)
    except StoreError as error:
        raise SystemExit(f"evbridge cannot start: {error}") from None


def build_engine(
    config: BridgeConfig,
    policies: PolicySet,
    records: Mapping[str, bytes],
    life: Life,
    now: float,
    ready: CompiledTypes | None = None,
    follows: bool = False,
) -> Engine:
    """Build the engine of one life.

    Args:
        now: monotonic seconds.
        ready: VSI types that were compiled before.
        follows: another bridge serves the switches, and this engine follows its records.
    """
    return Engine(
        config.fabric,
        policies,
        records,
        now,
        first_sequence=random.randrange(1, 0x10000),
        snooping=config.multicast,
        statistics_interval=config.statistics_interval,
        statistics_retention=config.statistics_retention,
        managers=config.vsi_managers,
        forward_in_flight=config.forward_in_flight,
        life=life,
        ready=ready,
        alone=config.pod is None,
        follows=follows,
        secret=secrets.token_bytes(16),
    )


def build_follower(
    config: BridgeConfig, policies: PolicySet, records: Mapping[str, bytes], ready: CompiledTypes
) -> Engine:
    """Build an engine that follows the records of another bridge, from those that attachments depend on."""
    return build_engine(config, policies, records, STANDBY, 0.0, ready, follows=True)
