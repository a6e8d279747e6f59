"""Parts that all commands with a cluster have in common: namespaces, progress, errors of the testbed as one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


def private_namespaces() -> None:
    """Move this process into namespaces that end with it; see ``ryu_apps.testbed.harness.sandbox``."""
    from ryu_apps.testbed.harness.sandbox import SandboxError, enter

    try:
        enter()
    except SandboxError as error:
        raise click.ClickException(str(error)) from None


def this_namespace() -> None:
    """Stay in this namespace; an interrupt takes the cluster down.  See ``ryu_apps.testbed.harness.sandbox``."""
    from ryu_apps.testbed.harness.sandbox import shield

    shield()


@contextmanager
def performance(title: str, console: Console, logs: Path) -> Iterator[Callable[[str], None]]:
    """Show a spinner while a cluster is at work; yields a function that shows the stage.

    Raises:
        ClickException: the cluster did not come up, or what was asked of it could not be done.
    """
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title)
        with errors_in_a_line(logs):
            yield lambda words: progress.update(task, description=f"{title}: {words}")


@contextmanager
def errors_in_a_line(logs: Path | None) -> Iterator[None]:
    """Show errors of the testbed as errors of the command; any other exception is a defect and keeps its traceback.

    Args:
        logs: None: nothing runs yet that has any.

    Raises:
        ClickException: the text of the error, and the folder of the logs.
    """
    from ryu_apps.testbed.errors import TestbedError

    try:
        yield
    except TestbedError as error:
        raise click.ClickException(str(error) if logs is None else f"{error}\nlogs: {logs}") from error
