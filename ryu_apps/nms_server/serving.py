"""``evbridge nms serve`` put together: database, threads, REST."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import click

from ryu_apps.nms.schema import NmsFile
from ryu_apps.nms_server.acquisition import Acquisition
from ryu_apps.nms_server.application import NmsApplication
from ryu_apps.nms_server.bridge import BridgeClient
from ryu_apps.nms_server.collector import Collector
from ryu_apps.nms_server.database import Database
from ryu_apps.nms_server.following import Follower
from ryu_apps.nms_server.hooks import HookRunner
from ryu_apps.nms_server.prometheus import PrometheusClient
from ryu_apps.nms_server.rollouts import RollOuts
from ryu_apps.rest.callers import Limit
from ryu_apps.rest_daemon import DaemonAccess, ServedApplication, serve_daemon

#: Name of the database in the state directory.
DATABASE = "nms.db"


def serve_nms(config: NmsFile, base: Path, host: str, port: int, access: DaemonAccess) -> None:
    """Serve until a signal ends the process.

    Args:
        base: what paths of the configuration are relative to.

    Raises:
        ClickException: a file cannot be used, the address is not available, or strangers would be let in.
    """
    stopped = threading.Event()
    try:
        serve_daemon(lambda limit: _made(config, base, access, limit, stopped), host, port, access)
    finally:
        stopped.set()


def _made(
    config: NmsFile, base: Path, access: DaemonAccess, limit: Limit, stopped: threading.Event
) -> ServedApplication:
    database = _database(base / config.state_dir)
    bridges = [BridgeClient(name, section, base) for name, section in config.bridges.items()]
    section = config.statistics.prometheus
    prometheus = None if section is None else PrometheusClient(section, bridges, base)
    collector = Collector(bridges, config.statistics, database, prometheus=prometheus)
    followers = [
        (bridge.name, Follower(bridge, url, config.hooks, database))
        for bridge in (bridges if config.hooks else ())
        for url in bridge.urls
    ]
    runners = [HookRunner(name, hook, database, base) for name, hook in config.hooks.items()]
    roll_outs = RollOuts(bridges, database)
    acquisition = Acquisition(config.acquisition, database, roll_outs, base)
    application = NmsApplication(
        bridges, collector, followers, config.hooks, database, roll_outs, access.names, limit, acquisition=acquisition
    )
    works: list[Callable[[threading.Event], None]] = [collector.run, roll_outs.run]
    works += [acquisition.run] if config.acquisition else []
    works += [follower.run for _, follower in followers]
    works += [runner.run for runner in runners]
    for work in works:
        threading.Thread(target=work, args=(stopped,), daemon=True).start()
    return ServedApplication(application, f"/nms: {len(bridges)} bridges, {len(runners)} hooks")


def _database(folder: Path) -> Database:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Database(folder / DATABASE)
    except sqlite3.Error as error:
        raise click.ClickException(f"{folder / DATABASE}: {error}") from None
