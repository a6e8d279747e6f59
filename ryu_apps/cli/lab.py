"""``evbridge lab``: a cluster with a prompt, and the checker of its worksheets."""

from __future__ import annotations

import time
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.console import Console

from ryu_apps.cli.stage import errors_in_a_line, performance, private_namespaces

#: Where labs keep their records, and the lines that were typed.
_REPORTS, _HISTORY = Path("reports"), Path("~/.evbridge_lab_history")
_SHEETS = click.Choice(("1", "2"))


@click.group(invoke_without_command=True)
@click.option("-n", "hypervisors", type=click.IntRange(2, 128), default=2, show_default=True, help="Hypervisors.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the record and the logs.  [default: reports/lab-TIME]",
)
@click.option("--page", is_flag=True, help="Show the live page of the bridge.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="With --page: port of the page."
)
@click.pass_context
def lab(context: click.Context, hypervisors: int, output: Path | None, page: bool, port: int) -> None:
    """Keep two switches up, and read requests, moves and questions at a prompt.

    The verb help lists the verbs: preassoc, assoc, migrate, dump, explain and others.  Needs root.  Takes everything
    down at 'exit', Ctrl-C and the end of input.  Reads a script from a pipe as well, and exits with 1 then if a line
    could not be carried out.
    """
    if context.invoked_subcommand is None:
        target = output or _REPORTS / f"lab-{time.strftime('%Y%m%d-%H%M%S')}"
        raise SystemExit(_lab(hypervisors, target, port if page else None))


@lab.command()
@click.argument("number", type=_SHEETS)
@click.argument("record", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--solutions", is_flag=True, help="Print the right answers of this lab instead.")
def check(number: str, record: Path | None, solutions: bool) -> None:
    """Check the answers to worksheet NUMBER.

    RECORD is the folder of a lab.  The right answers are computed from what that lab has shown.  Without RECORD it is
    the newest in reports/.  Exits 0 only if all answers are right.
    """
    from ryu_apps.testbed.lab.notebook import read_notebook
    from ryu_apps.testbed.lab.worksheet import check_lines, is_solved, solution_lines
    from ryu_apps.testbed.lab.worksheets import WORKSHEETS

    place = _record(record)
    with errors_in_a_line(None):
        notebook = read_notebook(place)
    worksheet = WORKSHEETS[number]
    for line in solution_lines(worksheet, notebook) if solutions else check_lines(worksheet, notebook):
        click.echo(line)
    raise SystemExit(0 if is_solved(worksheet, notebook) else 1)


def _record(given: Path | None) -> Path:
    from ryu_apps.testbed.lab.notebook import RECORD

    if given is not None:
        return given / RECORD if given.is_dir() else given
    found = sorted(_REPORTS.glob(f"lab-*/{RECORD}"))
    if not found:
        raise click.ClickException(f"no lab in {_REPORTS}/: name its folder")
    return found[-1]


def _lab(hypervisors: int, output: Path, port: int | None) -> int:
    """Keep a lab up until its prompt ends; returns the exit status."""
    from ryu_apps.testbed.harness.port_relay import listen

    logs = output / "logs"
    with errors_in_a_line(None):
        listener = None if port is None else listen(port)
    private_namespaces()
    from ryu_apps.testbed.harness.controller import REST_PORT
    from ryu_apps.testbed.harness.port_relay import PortRelay
    from ryu_apps.testbed.lab.bench import Bench
    from ryu_apps.testbed.lab.input import Lines
    from ryu_apps.testbed.lab.notebook import RECORD, Notebook
    from ryu_apps.testbed.lab.prompt import Prompt

    output.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        bench = Bench(Path(stack.enter_context(TemporaryDirectory(prefix="evbridge-", dir="/run"))), hypervisors)
        stack.callback(bench.cluster.keep_logs, logs)
        with performance("lab", Console(stderr=True), logs) as tell:
            tell(f"starting two switches and {hypervisors} hypervisors")
            stack.enter_context(bench)
        if listener is not None:
            stack.enter_context(PortRelay(listener, REST_PORT))
            click.echo(f"The live page: http://127.0.0.1:{port}/")
        prompt = Prompt(bench, Notebook(output / RECORD), partial(_command, bench.cluster.controller.url))
        lines = Lines(prompt.complete, _HISTORY.expanduser())
        stack.callback(lines.close)
        click.echo(f"Record and logs: {output}")
        prompt.run(lines)
    return 1 if prompt.mistakes and not lines.is_terminal else 0


def _command(rest: str, name: str, words: tuple[str, ...]) -> None:
    """Run a command of ``evbridge``, which prints, on the bridge of the lab.

    Raises:
        LineError: it has failed.
    """
    from ryu_apps.testbed.lab.verbs import LineError

    module, attribute = ("explain", "explain") if name == "explain" else ("show", name)
    command: click.Command = getattr(import_module(f"ryu_apps.cli.{module}"), attribute)
    try:
        # Whichever bridge EVBRIDGE_REST names.
        command.main(["--rest", rest, *words], prog_name=name, standalone_mode=False)
    except click.ClickException as error:
        raise LineError(error.format_message()) from None
    except click.exceptions.Exit as ended:
        if ended.exit_code:
            raise LineError(f"{name}: exit status {ended.exit_code}") from None
