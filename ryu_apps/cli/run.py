"""``evbridge run``: ``ryu-manager`` with evbridge's apps, a log level and a configuration.

It replaces itself by :mod:`ryu_apps.process.launch` instead of calling it, so that eventlet patches a fresh interpreter
and a supervisor sees one process.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import click

from ryu_apps.process.interrupts import ENDING, hold_back
from ryu_apps.process.logs import FORMAT, JSON, TEXT

#: Loaded before the apps named on the command line.
APPS = ("ryu_apps.evb_bridge", "ryu_apps.evb_rest")

LEVELS = ("debug", "info", "warning", "error", "critical")


@click.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="EVBRIDGE_CONFIG",
    default="/etc/evbridge/evbridge.yaml",
    show_default=True,
    show_envvar=True,
    help="Configuration: the cluster, and the paths of its VSI types.",
)
@click.option(
    "--log", type=click.Path(dir_okay=False), envvar="EVBRIDGE_LOG", show_envvar=True, help="Log to a file too."
)
@click.option(
    "--log-level",
    type=click.Choice(LEVELS, case_sensitive=False),
    envvar="EVBRIDGE_LOG_LEVEL",
    default="info",
    show_default=True,
    show_envvar=True,
    help="Log nothing below this level.",
)
@click.option(
    "--log-format",
    type=click.Choice((TEXT, JSON)),
    envvar=FORMAT,
    default=TEXT,
    show_default=True,
    show_envvar=True,
    help="Lines of text, or of JSON with the fields of each event.",
)
@click.argument("more", nargs=-1, type=click.UNPROCESSED, metavar="[RYU-MANAGER OPTION]... [APP]...")
def run(config: Path, log: str | None, log_level: str, log_format: str, more: tuple[str, ...]) -> None:
    """Start ryu-manager with evbridge's apps.

    Everything else on the command line goes to ryu-manager: its options (see ryu-manager --help)
    and more apps to load, such as ryu.app.ofctl_rest.
    """
    os.environ |= {"EVBRIDGE_CONFIG": str(config), FORMAT: log_format}
    # Until the new program can say what it does: an interpreter that is interrupted while it starts writes a traceback.
    hold_back(*ENDING)
    os.execv(sys.executable, [sys.executable, "-P", "-m", "ryu_apps.process.launch", *arguments(log, log_level, more)])


def arguments(log: str | None, log_level: str, more: tuple[str, ...]) -> list[str]:
    """The command line of ryu-manager: ours first, so that what the user says later wins."""
    level = logging.getLevelNamesMapping()[log_level.upper()]
    ours = ["--app-lists", ",".join(APPS), "--default-log-level", str(level)]
    return [*ours, *(["--log-file", log] if log else []), *more]
