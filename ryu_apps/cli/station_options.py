"""Options that several commands of ``evbridge station`` have."""

from __future__ import annotations

from pathlib import Path

import click

from ryu_apps.station_daemon.client import DEFAULT_CONTROL

FILE = click.Path(dir_okay=False, path_type=Path)
CONTROL = click.option(
    "--control",
    type=FILE,
    default=DEFAULT_CONTROL,
    show_default=True,
    help="UNIX socket of the daemon.",
)
DEADLINE = click.option(
    "--deadline", type=click.FloatRange(0.1, 3600.0), default=10.0, show_default=True, help="Seconds for the answer."
)
