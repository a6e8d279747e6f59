"""Entry point of the ``evbridge`` command: installs signal handlers before any other import."""

from __future__ import annotations

from ryu_apps.process.interrupts import ENDING, end_at_once


def start() -> None:
    """Run the command that the command line names; a file or program that it cannot use is one line."""
    end_at_once(*ENDING)
    from ryu_apps.cli.main import main

    try:
        main()
    except OSError as error:
        if error.filename is None:
            raise
        raise SystemExit(f"Error: {error.filename}: {error.strerror}") from None
