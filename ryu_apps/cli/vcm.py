"""``evbridge vcm``: a cluster manager that plans, explains, and shows on a cluster of its own what a plan comes to."""

from __future__ import annotations

import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Container
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from ryu_apps.cli.rest_client import RestClient, credentials, rest_client
from ryu_apps.cli.stage import performance, private_namespaces
from ryu_apps.cli.vcm_types import UnknownTypesError, answers_if_any, room_at, types_at, types_of
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.diagnostic import Diagnostic
from ryu_apps.inventory_files import load_with_descriptors
from ryu_apps.sources import read_sources
from ryu_apps.vcm.goal_events import MoveLimits
from ryu_apps.vcm.inventory import Occupancy, Purpose
from ryu_apps.vcm.loader import Loaded
from ryu_apps.vcm.move_events import LIVE_LADDERS, Ladder
from ryu_apps.vcm.placement import PlacementQuestion, Ranking, rank
from ryu_apps.vcm.plans import Goal, GoalError, GoalKind, Plan, make_plan

if TYPE_CHECKING:
    from ryu_apps.testbed.manager.campaign import Task
    from ryu_apps.testbed.manager.report import ClusterReport

#: Columns of a table that goes to a file.
_WIDE = 160
_LADDERS = [ladder.value for ladder in LIVE_LADDERS]

_INVENTORY = click.argument("inventory", type=click.Path(exists=True, dir_okay=False, path_type=Path))
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_GOAL = click.argument("goal", type=click.Choice([kind.value for kind in GoalKind]))
_SUBJECT = click.argument("subject", required=False, default="")
_PARALLEL = click.option(
    "--parallel", type=click.IntRange(min=1), default=2, show_default=True, help="Moves at a time."
)

_REST = click.option(
    "--rest", metavar="URL", help="Running bridge that is asked for VSI types and room, such as http://127.0.0.1:8080."
)


@click.group()
def vcm() -> None:
    """Plan and carry out the moves of a cluster manager.

    GOAL is evacuate, protect, fail-over or rebalance; SUBJECT is a node, a switch or a power domain of the
    inventory (none for rebalance).
    """


@vcm.command()
@_INVENTORY
@_GOAL
@_SUBJECT
@_PARALLEL
@_REST
@credentials
def plan(
    inventory: Path,
    goal: str,
    subject: str,
    parallel: int,
    rest: str | None,
    token_file: Path | None,
    ca_file: Path | None,
) -> None:
    """Print the plan for a goal, and why each VM goes where; do nothing.

    The VSI type of each VM has to exist: at the bridge of --rest, or in the policies that the inventory names.  With
    --rest no VM goes where the bridge has no room left for it.  Exits 1 if a VM has no place.
    """
    known = _asked(inventory, rest, token_file, ca_file)
    made = _plan(known, goal, subject, parallel)
    for number, move in enumerate(made.moves, 1):
        target = move.target or "nowhere"
        purpose = known.inventory.vms[move.vm].purpose
        words = "" if purpose is Purpose.APPLICATION else f" ({purpose.value})"
        click.echo(f"{number}. {move.vm}{words}: {move.source} to {target}\n   {move.words}")
        face = known.inventory.vms[move.vm].interface
        if face.vlan is None:
            what = "VLAN and priority" if face.group_id is None else "VLAN"
            click.echo(f"   {what}: of {face.network}, as the bridge answers")
        others = [candidate.node for candidate in move.ranking.candidates if candidate.node != move.target]
        if others:
            click.echo(f"   if that refuses: {', '.join(others)}")
        for appliance in move.ties:
            switch = known.inventory.nodes[move.source].switch
            click.echo(f"   open connections stay tied to {appliance} at {switch} until they end")
    if not made.moves:
        click.echo("nothing to do")
    raise SystemExit(1 if made.stuck else 0)


@vcm.command()
@_INVENTORY
@click.argument("vm")
@_REST
@credentials
def place(inventory: Path, vm: str, rest: str | None, token_file: Path | None, ca_file: Path | None) -> None:
    """Rank the nodes for a VM, best first.

    Gives the reasons for and against each.  With --rest the bridge is asked for the room that it has left.  Exits 1
    if there is no place.
    """
    known = (_asked(inventory, rest, token_file, ca_file) if rest else read(inventory)).inventory
    if vm not in known.vms:
        raise click.ClickException(f"there is no VM {vm!r} in {known.name}")
    ranking = rank(PlacementQuestion(known, Occupancy(known), known.vms[vm]))
    click.echo(f"{vm} is at {known.vms[vm].at}")
    for line in explained(ranking):
        click.echo(line)
    raise SystemExit(0 if ranking.candidates else 1)


def explained(ranking: Ranking) -> list[str]:
    """A ranking in lines."""
    lines = [f"{number}. {candidate.node}: {candidate.words}" for number, candidate in enumerate(ranking.candidates, 1)]
    return lines + [f"not {rejection.node}: {', '.join(rejection.reasons)}" for rejection in ranking.rejected]


@vcm.command()
@_INVENTORY
@_GOAL
@_SUBJECT
@_PARALLEL
@click.option(
    "--station",
    type=click.Choice(["emulated", "lldpad", "daemon"]),
    default="emulated",
    show_default=True,
    help="Kind of VDP station; daemon: evbridge station.",
)
@click.option(
    "--ladder", type=click.Choice(_LADDERS), default=_LADDERS[0], show_default=True, help="Ladder of the moves."
)
@click.option("--ahead", is_flag=True, help="Reserve for every VM before the first one moves.")
@click.option(
    "--probe", type=click.IntRange(min=0), default=0, show_default=True, help="Nodes to probe before one is reserved."
)
@click.option(
    "--restarts", type=click.IntRange(min=0), default=0, help="VMs of dead nodes that start at a time.  [default: all]"
)
@click.option("--delay", type=float, default=0.0, help="Seconds between reserving and moving.")
@click.option(
    "--keep", type=float, default=2.0, show_default=True, help="Seconds before the node fails (fail-over, protect)."
)
@click.option("--copy-ms", type=float, default=300.0, show_default=True, help="Duration of copying a VM's memory.")
@click.option("--interval-ms", type=float, default=10.0, show_default=True, help="Interval of measuring datagrams.")
@click.option("--undo-after", type=click.IntRange(min=0), help="Halt after this many moves, and move all VMs back.")
@click.option(
    "--ties", type=float, default=5.0, show_default=True, help="Seconds that ties to proxies may take to end."
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for report.json, report.txt and the logs.  [default: reports/vcm-NAME-TIME]",
)
def run(
    inventory: Path,
    goal: str,
    subject: str,
    parallel: int,
    station: str,
    ladder: str,
    ahead: bool,
    probe: int,
    restarts: int,
    delay: float,
    keep: float,
    copy_ms: float,
    interval_ms: float,
    undo_after: int | None,
    ties: float,
    output: Path | None,
) -> None:
    """Carry a plan out on a cluster of its own, under traffic.

    The nodes are network namespaces; the blackout of each VM is reported.  Needs root.  An interrupt halts: what is
    under way is taken back, what is done stays.  Exits 0 only if the goal is met and all must-be-zero counters are 0.
    """
    loaded = read_with_types(inventory)
    wanted = _plan(loaded, goal, subject, parallel).goal
    private_namespaces()
    from ryu_apps.testbed.manager.campaign import Task

    task = Task(
        wanted,
        MoveLimits(Ladder(ladder), delay, ahead, probe, restarts),
        parallel,
        copy_ms / 1000.0,
        interval_ms / 1000.0,
        keep,
        undo_after,
        inject=not ahead,
        ties=ties,
    )
    target = output or Path("reports") / f"vcm-{loaded.inventory.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    console = Console(width=None if sys.stdout.isatty() else _WIDE)
    report = _perform(loaded, inventory.parent, task, target, station, console)
    show(console, report)
    console.print(f"report: {target}/report.json, {target}/report.txt", highlight=False)
    raise SystemExit(0 if report.ok else 1)


@vcm.command()
@_INVENTORY
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8081, show_default=True, help="Port; 0: any that is free."
)
@click.option(
    "--journal",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that requests are recorded in, and read from after a restart.",
)
@click.option("--name", "names", multiple=True, help="Host name that requests may use besides the addresses.")
@click.option("--tokens", type=_FILE, help="File of the tokens that clients need (evbridge token).")
@click.option("--certificate", type=_FILE, help="Certificate for TLS, in PEM.")
@click.option("--private-key", type=_FILE, help="Its private key, in PEM.")
@click.option(
    "--ovf-interval",
    type=click.IntRange(0, 86_400),
    default=60,
    show_default=True,
    help="Seconds between two acquisitions of the OVF that the inventory names; 0: only at the start.",
)
@click.option("--nms", "nms_url", help="URL of the NMS whose components moves wait for; needs --rest.")
@click.option("--nms-token-file", type=_FILE, help="Token for --nms.")
@click.option("--nms-ca-file", type=_FILE, help="Certificate authorities of --nms.")
@_REST
@credentials
def serve(
    inventory: Path,
    host: str,
    port: int,
    journal: Path | None,
    rest: str | None,
    token_file: Path | None,
    ca_file: Path | None,
    ovf_interval: int,
    nms_url: str | None,
    nms_token_file: Path | None,
    nms_ca_file: Path | None,
    **access: Any,
) -> None:
    """Serve the REST API of the cluster manager.

    An external agent carries out the steps.  The VSI type of each VM has to exist: at the bridge of --rest, or in the
    policies that the inventory names.  That bridge is asked for the room that it has left before each goal, and when it
    has refused.  With --nms the manager itself asks the NMS about the components that a move waits for, and answers
    these steps.

    The agent posts goals, carries out the steps in the answers, and reports the result of each.  Its token needs the
    role operate; read does for questions.  Beyond the loopback address tokens and TLS are needed.
    """
    from ryu_apps.cli.vcm_chores import chores_of
    from ryu_apps.rest_daemon import DaemonAccess
    from ryu_apps.vcm_server import serve_inventory

    text = inventory.read_text(encoding="utf-8")
    bridge = rest_client(rest, token_file, ca_file) if rest else None
    loaded = read_with_types(inventory, bridge)
    nms = None
    if nms_url:
        if bridge is None or loaded.inventory.coordination is None:
            raise click.UsageError("--nms needs --rest, and the section nms of the inventory")
        nms = rest_client(nms_url, nms_token_file, nms_ca_file)
    chores = chores_of(loaded, (str(inventory), text), bridge, nms, ovf_interval)
    ask = None if bridge is None else partial(answers_if_any, bridge)
    serve_inventory(loaded, text, host, port, journal, DaemonAccess(**access), ask, chores)


def read(path: Path) -> Loaded:
    """Read an inventory; ClickException with every mistake."""
    loaded, found = _load(path)
    for diagnostic in found:
        click.echo(str(diagnostic), err=True)
    return loaded


def read_with_types(path: Path, bridge: RestClient | None = None) -> Loaded:
    """Read an inventory, and check that the VSI type of each VM exists; ClickException with every mistake."""
    loaded = read(path)
    try:
        types = types_of(loaded.file.cluster, path.parent) if bridge is None else types_at(bridge)
    except UnknownTypesError as reason:
        click.echo(f"{path}: VSI types are not checked: {reason} (--rest asks a bridge)", err=True)
    else:
        _load(path, types)
    return loaded


def _asked(path: Path, rest: str | None, token_file: Path | None, ca_file: Path | None) -> Loaded:
    """Read an inventory with the types, and the room, of the bridge at a URL; None: with those of its policies."""
    bridge = rest_client(rest, token_file, ca_file) if rest else None
    loaded = read_with_types(path, bridge)
    if bridge is None:
        return loaded
    room = room_at(bridge)
    for switch in loaded.inventory.switches:
        if switch not in room.switches:
            click.echo(f"{path}: {switch} is not a switch of {bridge.base}: its room is not known", err=True)
    return replace(loaded, inventory=replace(loaded.inventory, room=room))


def _load(path: Path, types: Container[VsiTypeKey] | None = None) -> tuple[Loaded, list[Diagnostic]]:
    sources, found = read_sources([path])
    loaded = None
    if sources:
        loaded, found = load_with_descriptors(sources[0], types)
    if loaded is None:
        raise click.ClickException("mistakes in the inventory\n" + "\n".join(map(str, found)))
    return loaded, found


def _plan(loaded: Loaded, goal: str, subject: str, parallel: int) -> Plan:
    kind = GoalKind(goal)
    if kind is GoalKind.REBALANCE and subject:
        raise click.UsageError("rebalance is about the whole cluster")
    try:
        return make_plan(loaded.inventory, Goal(kind, subject), parallel=parallel)
    except GoalError as error:
        raise click.ClickException(str(error)) from None


def _perform(loaded: Loaded, place: Path, task: Task, output: Path, station: str, console: Console) -> ClusterReport:
    """Do it behind a progress display."""
    from ryu_apps.testbed.manager.campaign import perform

    interrupts = _Interrupts()
    with performance(str(task.goal), console, output / "logs") as tell:
        return perform(loaded, place, task, output, station, tell, interrupts.halt_by)


class _Interrupts:
    """Waits for interrupts in a thread of its own, so that they end neither us nor anything that we start.

    A terminal sends an interrupt to all of them; they inherit that it is blocked.
    """

    def __init__(self) -> None:
        self._halts: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        threading.Thread(target=self._wait, name="interrupts", daemon=True).start()

    def halt_by(self, halt: Callable[[], None]) -> None:
        """Set the action of an interrupt; one that has come already acts at once."""
        self._halts.put(halt)

    def _wait(self) -> None:
        signal.sigwait({signal.SIGINT})
        self._halts.get()()


def show(console: Console, report: ClusterReport) -> None:
    """Print a report: a row an attempt, what was refused, and the verdict."""
    from ryu_apps.testbed.manager.report import HEAD, remarks, rows, verdict

    table = Table(
        *HEAD, title=f"{report.goal}, {report.station} stations, {report.seconds:.1f} s", title_justify="left"
    )
    for row in rows(report):
        table.add_row(*row)
    console.print(table)
    for line in remarks(report):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(verdict(report), style="green" if report.ok else "red", markup=False, highlight=False, soft_wrap=True)
