"""The first lines of the ``ryu-manager`` that Ryu installs are as those of ``evbridge run``.

``evbridge_hook`` calls it when that program imports Ryu, before anything is logged.
"""

from __future__ import annotations

import logging
import sys

from ryu_apps.process.launch import patch
from ryu_apps.process.logs import FormatError, format_lines


def begin() -> None:
    """Patch the interpreter before Ryu does, and have Ryu log in our format."""
    # Ryu leaves threads alone with this option, for debuggers.
    patch(threads="--enable-debugger" not in sys.argv)
    from ryu import log

    begin_logging = log.init_log

    def formatted() -> None:
        begin_logging()
        try:
            format_lines(logging.getLogger())
        except FormatError as error:
            raise SystemExit(f"evbridge cannot start: {error}") from None

    log.init_log = formatted
