"""``ryu-manager`` with a line for what it meets with a traceback, and with our format in its log.

Looks at the command line before Ryu does: Ryu answers a misspelt option with the names of all, and a misspelt app with
the stack of its importer.
"""

from __future__ import annotations

import logging
import os
import pkgutil
import re
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import NoReturn

from oslo_config import cfg
from ryu import log, version
from ryu.cfg import CONF
from ryu.cmd import manager

from ryu_apps.process.logs import FormatError, format_lines

_PROGRAM = "evbridge run"
#: What the program takes itself; the rest is Ryu's to list.
_OURS = ("--config", "--log", "--log-format", "--log-level")
#: As Ryu has it, which takes it if it is there.
_CONFIGURATION = Path("/usr/local/etc/ryu/ryu.conf")
_begin_logging = log.init_log


def manage(arguments: Sequence[str]) -> None:
    """Check a command line, then have Ryu serve it."""
    # These files add options when Ryu reads them, and it reads them only once.
    if "--user-flags" not in arguments:
        _check_options(arguments)
    _check_apps()
    log.init_log = _log
    try:
        manager.main(args=arguments, prog=_PROGRAM)
    except KeyboardInterrupt:
        # A signal's, while Ryu was still waiting for something else than its services; the signal itself ends us.
        pass
    except OSError as error:
        if CONF.pid_file is None or error.filename != CONF.pid_file:
            raise
        _give_up(f"--pid-file {error.filename}: {error.strerror}")


def _log() -> None:
    """Begin logging as Ryu does, in our format."""
    if CONF.log_config_file and not os.path.isfile(CONF.log_config_file):
        _give_up(f"--log-config-file {CONF.log_config_file}: there is no such file")
    try:
        _begin_logging()
    except (OSError, ValueError) as error:
        _give_up(f"the log cannot be written: {_words(error)}")
    try:
        format_lines(logging.getLogger())
    except FormatError as error:
        _give_up(str(error))


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _check_options(arguments: Sequence[str]) -> None:
    said = StringIO()
    try:
        with redirect_stderr(said):
            files = [str(_CONFIGURATION)] if _CONFIGURATION.exists() else []
            CONF(arguments, prog=_PROGRAM, project="ryu", version=f"ryu-manager {version}", default_config_files=files)
    except SystemExit as ended:
        if not ended.code:
            raise
        # argparse has written the usage, which is long, and the reason in the last line.
        last = (said.getvalue().splitlines() or [str(ended.code)])[-1]
        _give_up(last.removeprefix(f"{_PROGRAM}: error: ") + _options_alike(last))
    except cfg.Error as error:
        _give_up(" ".join(str(error).split()))


def _options_alike(words: str) -> str:
    found = re.search(r"unrecognized arguments:.*?(--[\w-]+)", words)
    if found is None:
        return ""
    options = [*_OURS, *(f"--{name.replace('_', '-')}" for name in CONF)]
    return _proposed(get_close_matches(found[1], options, n=1)) or "; ryu-manager --help lists them"


def _check_apps() -> None:
    for app in (name for listed in CONF.app_lists + CONF.app for name in listed.split(",")):
        if os.path.isdir(app):
            _give_up(f"{app} is a directory, not an app")
        if not os.path.exists(app) and not _is_module(app):
            _give_up(f"there is no app {app}" + _proposed(get_close_matches(app, _neighbours(app), n=1)))


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _neighbours(app: str) -> Iterator[str]:
    """The modules in the package that an app's name names."""
    package = app.rpartition(".")[0]
    if package and _is_module(package):
        for module in pkgutil.iter_modules(getattr(import_module(package), "__path__", [])):
            yield f"{package}.{module.name}"


def _proposed(alike: Sequence[str]) -> str:
    return f" (did you mean {alike[0]}?)" if alike else ""


def _give_up(reason: str) -> NoReturn:
    raise SystemExit(f"evbridge cannot start: {reason}")
