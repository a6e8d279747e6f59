"""``evbridge explain``: what happens to a frame, table by table and switch by switch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import click

from ryu_apps.cli.explained_cluster import Cluster
from ryu_apps.cli.rest_client import bridge_url, credentials, rest_client
from ryu_apps.evb.explanation import capture
from ryu_apps.evb.explanation.cluster import Port
from ryu_apps.evb.explanation.frame_reader import read_frame
from ryu_apps.evb.explanation.journey import Visit, travel
from ryu_apps.evb.explanation.report import Explanation
from ryu_apps.evb.explanation.sources import source_of
from ryu_apps.evb.explanation.words import receiver_of
from ryu_apps.evb.explanation.written_frame import read_fields
from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.pipeline.tables import CookieKind, Table, parse_cookie
from ryu_apps.evb.simulation.steps import LookedUp
from ryu_apps.evb.wire.mac import mac_to_text

#: Frames of a capture that are explained at a time, octets of a capture file, and VSIs whose names are asked for.
MOST_FRAMES, MOST_OCTETS, _MOST_NAMES = 100, 64_000_000, 50


@click.command()
@click.argument("port", metavar="PORT")
@click.argument("fields", metavar="[FIELD=VALUE]...", nargs=-1)
@bridge_url("rest")
@credentials
@click.option(
    "--pcap", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE", help="Frames of a capture."
)
@click.option("--number", type=click.IntRange(min=1), metavar="N", help="With --pcap: the N-th frame alone.")
@click.option(
    "--switch",
    "targets",
    multiple=True,
    metavar="TARGET",
    help="Use the rules that a switch has: a bridge of this machine, unix:PATH or tcp:HOST:PORT; may be repeated.",
)
@click.option(
    "--as-if-associated",
    "assumed",
    metavar="VSI[@PORT]",
    help="Count a staged VSI as associated.",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.option("-v", "--verbose", is_flag=True, help="Show each rule as ovs-ofctl does.")
def explain(
    port: str,
    fields: tuple[str, ...],
    rest: str,
    token_file: Path | None,
    ca_file: Path | None,
    pcap: Path | None,
    number: int | None,
    targets: tuple[str, ...],
    assumed: str | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Say what happens to a frame that comes in at PORT, table by table.

    PORT is SWITCH:NUMBER, such as s1:3, or the name of a port.  The frame is written with the fields of policy files,
    such as eth_src=52:54:00:00:00:01 eth_dst=52:54:00:00:00:02 vlan_vid=100 ipv4_dst=10.0.0.2 ip_proto=tcp tcp_dst=80,
    or comes from a capture.  Nothing is sent, and no switch changes.
    """
    if (pcap is None) == (not fields):
        raise click.UsageError("a frame is written as FIELD=VALUE, or comes from --pcap")
    if number is not None and pcap is None:
        raise click.UsageError("--number is of use with --pcap alone")
    frames = [_written(fields)] if pcap is None else _captured(pcap, number)
    cluster = Cluster(rest_client(rest, token_file, ca_file), targets, assumed)
    start = cluster.port(port)
    for frame in frames:
        found = _explanation(cluster, start, frame)
        if as_json:
            click.echo(json.dumps({**found.as_json(), "hints": _hints(cluster, start, found)}))
            continue
        lines = [*found.text(verbose=verbose), *(f"hint     {hint}" for hint in _hints(cluster, start, found))]
        click.echo("\n".join(lines) + ("\n" if len(frames) > 1 else ""))


def _written(fields: tuple[str, ...]) -> dict[str, int]:
    try:
        return read_fields(fields)
    except ValueError as error:
        raise click.ClickException(str(error)) from None


def _captured(pcap: Path, number: int | None) -> list[dict[str, int]]:
    """The chosen frames of a capture.

    Raises:
        ClickException: it is no capture, too large, or has no such frame or too many.
    """
    try:
        with pcap.open("rb") as file:
            octets = file.read(MOST_OCTETS + 1)
        if len(octets) > MOST_OCTETS:
            raise ValueError(f"larger than {MOST_OCTETS} octets")
        found = capture.frames(octets)
        if number is not None:
            chosen = list(islice(found, number - 1, number))
            if not chosen:
                raise ValueError(f"no frame {number}")
        else:
            chosen = list(islice(found, MOST_FRAMES + 1))
            if not chosen:
                raise ValueError("no frame")
            if len(chosen) > MOST_FRAMES:
                raise ValueError(f"more than {MOST_FRAMES} frames; choose one by --number")
        return [read_frame(frame) for frame in chosen]
    except ValueError as error:
        raise click.ClickException(f"{pcap}: {error}") from None


def _explanation(cluster: Cluster, start: Port, frame: Mapping[str, int]) -> Explanation:
    visits = tuple(travel(start, frame, cluster.switch))
    met = [parse_cookie(step.rule.cookie) for step in _lookups(visits) if step.rule is not None]
    cluster.note_types(cookie.owner for cookie in met if cookie is not None and cookie.kind is CookieKind.TYPE_BODY)
    assumption = cluster.assumption
    explanation = Explanation(frame, visits, cluster.owners, assumption.words if assumption else None)
    cluster.note_names(islice(dict.fromkeys(_vsis(explanation)), _MOST_NAMES))
    return explanation


def _lookups(visits: tuple[Visit, ...]) -> Iterator[LookedUp]:
    return (step for visit in visits for step in visit.trace.steps if isinstance(step, LookedUp))


def _vsis(explanation: Explanation) -> Iterator[str]:
    """The VSIs that the explanation names."""
    for step in _lookups(explanation.visits):
        if step.rule is not None:
            yield from source_of(step.rule, explanation.owners).vsis[:1]
    for visit in explanation.visits:
        for departure in visit.departures:
            receiver = receiver_of(departure, explanation.owners)
            if receiver is not None:
                yield receiver


def _hints(cluster: Cluster, start: Port, explanation: Explanation) -> list[str]:
    """Staged VSIs whose frame it would be if they were associated."""
    first = explanation.visits[0]
    last, miss = first.last, first.last is not None and first.last.rule is None
    if last is None or not (miss or first.shut) or last.table != Table.INGRESS or cluster.assumption is not None:
        return []
    vid, mac = last.fields["vlan_vid"] & ~VLAN_PRESENT, mac_to_text(last.fields["eth_src"])
    return [
        f"VSI {staged['vsi']} is staged here and not associated: --as-if-associated {staged['vsi']}"
        for staged in cluster.staged_at(start)
        if any(binding["vid"] == vid and binding["mac"] in (mac, None) for binding in staged["bindings"])
    ]
