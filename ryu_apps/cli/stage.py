"""What all commands have in common that build a cluster: namespaces of their own, a word on how far they are, and
errors of the cluster as errors of the command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


def private_namespaces() -> None:
    """Go on inside namespaces that die with us; see ``ryu_apps.testbed.harness.sandbox``."""
    from ryu_apps.testbed.harness.sandbox import SandboxError, enter

    try:
        enter()
    except SandboxError as error:
        raise click.ClickException(str(error)) from None


def this_namespace() -> None:
    """Go on where we are, so that an interrupt takes the cluster down; see ``ryu_apps.testbed.harness.sandbox``."""
    from ryu_apps.testbed.harness.sandbox import shield

    shield()


@contextmanager
def performance(title: str, console: Console, logs: Path) -> Iterator[Callable[[str], None]]:
    """A spinner while a cluster is at work; yields how to say what it is doing.

    Raises:
        ClickException: the cluster did not come up, or what was asked of it could not be done.
    """
    from ryu_apps.testbed.harness.cluster import NameClashError
    from ryu_apps.testbed.harness.shell import CommandError
    from ryu_apps.testbed.harness.station import StationError
    from ryu_apps.testbed.manager.guests import MismatchError
    from ryu_apps.testbed.replay.cluster_manager import MigrationRefused

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title)
        try:
            yield lambda words: progress.update(task, description=f"{title}: {words}")
        except (
            TimeoutError,
            LookupError,
            ValueError,
            MismatchError,
            NameClashError,
            CommandError,
            StationError,
            MigrationRefused,
        ) as error:
            raise click.ClickException(f"{error}\nlogs: {logs}") from error
