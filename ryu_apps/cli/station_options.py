"""Options that several commands of ``evbridge station`` have, and the log of those that run until a signal."""

from __future__ import annotations

from pathlib import Path

import click

from ryu_apps.process.logs import FormatError, log_to_stderr
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


def begin_logging() -> None:
    """Log to the standard error; ClickException: the environment names no format."""
    try:
        log_to_stderr()
    except FormatError as error:
        raise click.ClickException(str(error)) from None
