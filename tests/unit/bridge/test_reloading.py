"""A bridge whose evbridge.yaml is read again while it runs keeps one engine, and one that it has left at most."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from weakref import ref

import pytest

from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.generation import Life
from ryu_apps.evb.store import Store
from ryu_apps.evb.switches.recovery import UNKNOWN
from ryu_apps.reloading import Reloader
from ryu_apps.settings import BridgeSettings, load_settings
from ryu_apps.starting import build_engine
from ryu_apps.stores.opening import open_store

CONFIG = """
version: 1
policies: [types]
dps: {{s1: {{dp_id: 1, interfaces: {{{port}: {{name: hv1, role: station, native_vlan: 100}}}}}}}}
"""
POLICIES = Path(__file__).parents[3] / "policies"
LIFE = Life(1, True, {})


@pytest.fixture(autouse=True)
def heap_as_before() -> Iterator[None]:
    yield
    gc.unfreeze()


@dataclass
class Bridge:
    """A bridge without switches, as far as a reload sees it."""

    settings: BridgeSettings
    engine: Engine
    store: Store
    life: Life = LIFE
    owes: int = 0
    left: list[ref[Engine]] = field(default_factory=list)

    def deliver(self, event: Event) -> None:
        self.engine.feed(event, time.monotonic())

    def report(self, happened: LogEvent) -> None:
        """Nothing listens."""

    def go_on_with(self, settings: BridgeSettings, engine: Engine) -> None:
        self.left.append(ref(self.engine))
        self.settings, self.engine = settings, engine


def test_engine_that_a_reload_has_left_is_freed_by_the_next_one(tmp_path: Path) -> None:
    file = tmp_path / "evbridge.yaml"
    (tmp_path / "types").mkdir()
    (tmp_path / "types" / "web.yaml").write_bytes((POLICIES / "web_server" / "web_server.yaml").read_bytes())
    file.write_text(CONFIG.format(port=1))
    settings = load_settings(file)
    store = open_store(None, UNKNOWN)
    bridge = Bridge(settings, build_engine(settings.config, settings.policies, {}, LIFE, time.monotonic()), store)
    reloader = Reloader(bridge)
    for port in (2, 3, 4):
        file.write_text(CONFIG.format(port=port))
        assert reloader.configuration() == []
    # Each was set aside when the next one was made: without a look at them all of them would be there.
    assert [engine() is not None for engine in bridge.left] == [False, False, True]
