"""Entry points of the commands: install signal handlers before any other import."""

from __future__ import annotations

from collections.abc import Callable

from ryu_apps.process.interrupts import ENDING, end_at_once


def start() -> None:
    """``evbridge``: run the command that the command line names; a file or program that it cannot use is one line."""
    end_at_once(*ENDING)
    from ryu_apps.cli.main import main

    _run(main)


def start_station() -> None:
    """``evbridge-station``: the same as ``evbridge station``."""
    end_at_once(*ENDING)
    from ryu_apps.cli.station import station

    _run(station)


def _run(command: Callable[[], object]) -> None:
    try:
        command()
    except OSError as error:
        if error.filename is None:
            raise
        raise SystemExit(f"Error: {error.filename}: {error.strerror}") from None
