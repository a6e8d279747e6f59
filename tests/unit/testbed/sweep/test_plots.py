"""Plots of a sweep: files of the right kind and size, and the data that they show."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ryu_apps.testbed.harness.probes import Flow, UdpNotes
from ryu_apps.testbed.replay.packets import packets, read_packets, write_packets
from ryu_apps.testbed.sweep import plots, style
from ryu_apps.testbed.sweep.around import around
from ryu_apps.testbed.sweep.errors import SweepError
from ryu_apps.testbed.sweep.plan import Plan
from ryu_apps.testbed.sweep.record import Row
from ryu_apps.testbed.sweep.summary import groups
from tests.worlds.sweeps import planned, rows_for

FLOW = Flow("probe", "udp", "client", "vm1", 443, 0.01, True)
#: The VM stops at 100.0; of the datagrams towards it four are lost.
SENT = tuple(99.9 + 0.01 * number for number in range(40))
HEARD = tuple((number, at, at + 0.001) for number, at in enumerate(SENT) if number not in range(11, 15))
NOTES = {"client": {"probe": UdpNotes(sent=SENT)}, "vm1": {"probe": UdpNotes(heard=HEARD)}}


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return planned(tmp_path, ["rules=10,100,1000", "ladder=minimize-latency,safest-exchange"], repeat=6)


@pytest.fixture
def rows(plan: Plan) -> list[Row]:
    """Blackouts: rules / 10 + 10 times the round, and 1 more with safest-exchange."""
    return rows_for(plan.runs, [blackout(run.point.key, run.round) for run in plan.runs])


def blackout(key: tuple[str, ...], turn: int) -> float:
    return int(key[0]) / 10 + 10.0 * turn + (key[1] == "safest-exchange")


def panels(figure: Figure) -> list[Axes]:
    return list(figure.axes)


def test_medians_intervals_and_every_migration_are_drawn(rows: list[Row]) -> None:
    figure = plots.by_parameter(groups(rows), "rules", "blackout_ms")
    (axes,) = panels(figure)
    handles, labels = axes.get_legend_handles_labels()
    assert labels == ["ladder=minimize-latency", "ladder=safest-exchange"]
    line, _, (bars,) = handles[1]
    assert [list(map(float, place)) for place in line.get_xydata()] == [[10, 37], [100, 46], [1000, 136]]
    # Of six values the smallest and the largest are the interval.
    assert [[float(y) for _, y in bar] for bar in bars.get_segments()] == [[12, 62], [21, 71], [111, 161]]
    dots = [found for found in axes.get_lines() if found.get_marker() == "."]
    assert sorted(float(y) for found in dots for y in found.get_ydata()) == sorted(
        row.number("blackout_ms") for row in rows
    )
    assert (axes.get_xscale(), axes.get_xlabel(), axes.get_ylabel()) == (
        "log",
        "ACL rules towards the VM",
        "blackout (ms)",
    )
    assert [text.get_text() for text in axes.get_xticklabels()] == ["10", "100", "1000"]


def test_values_that_are_no_numbers_stand_side_by_side(rows: list[Row]) -> None:
    (axes,) = panels(plots.by_parameter(groups(rows), "ladder", "blackout_ms"))
    assert [text.get_text() for text in axes.get_xticklabels()] == ["minimize-latency", "safest-exchange"]
    handles, labels = axes.get_legend_handles_labels()
    assert labels == ["rules=10", "rules=100", "rules=1000"]
    assert all(handle[0].get_linestyle() == "None" for handle in handles)


def test_the_distribution_rises_to_1_at_the_largest_blackout(rows: list[Row]) -> None:
    found = groups(rows)
    (axes,) = panels(plots.cumulative(found, "blackout_ms"))
    assert [line.get_label() for line in axes.get_lines()] == [group.label for group in found]
    first = axes.get_lines()[0]
    assert max(map(float, first.get_xdata())) == 61
    assert float(first.get_ydata()[-1]) == 1.0
    assert len(set(map(float, first.get_ydata()))) == 7


def test_many_combinations_are_one_line(tmp_path: Path) -> None:
    plan = planned(tmp_path, ["copy_ms=1,2,3,4,5,6,7,8,9", "vms.vm1.vlan=100,200"])
    found = groups(rows_for(plan.runs, [1.0] * len(plan.runs)))
    (by_vlan,) = panels(plots.by_parameter(found, "vms.vm1.vlan", "blackout_ms"))
    assert by_vlan.get_legend_handles_labels()[1] == ["all"]
    (by_copy,) = panels(plots.by_parameter(found, "copy_ms", "blackout_ms"))
    assert len(by_copy.get_legend_handles_labels()[1]) == 2
    assert by_copy.get_xscale() == "linear"
    (share,) = panels(plots.cumulative(found, "blackout_ms"))
    assert [line.get_label() for line in share.get_lines()] == ["all"]


def test_packets_around_the_move_are_numbered_from_the_stop_of_the_vm(rows: list[Row], tmp_path: Path) -> None:
    group = groups(rows)[0]
    for row in group.rows:
        (tmp_path / row.folder).mkdir(parents=True)
    assert around(group, "blackout_ms", tmp_path) is None
    # Next to the median, which is 36.
    for row in group.rows:
        if row.number("blackout_ms") in (31, 41):
            write_packets(tmp_path / row.folder / "packets.csv", [FLOW], NOTES)
    found = around(group, "blackout_ms", tmp_path)
    assert found is not None
    assert found.direction == "probe: client to vm1"
    assert found.arrivals[0] == (pytest.approx(-99.0), -9)
    assert [number for _, number in found.arrivals[8:12]] == [-1, 0, 1, 6]
    assert max(gap for _, gap in found.gaps) == pytest.approx(50.0)
    upper, lower = panels(plots.sequence([found]))
    assert [tuple(map(float, pair)) for pair in upper.get_lines()[0].get_xydata()] == list(found.arrivals)
    assert [tuple(map(float, pair)) for pair in lower.get_lines()[0].get_xydata()] == list(found.gaps)
    assert lower.get_xlabel().endswith("probe: client to vm1")


def test_files_are_pdf_and_png_of_a_column_and_the_same_every_time(rows: list[Row], tmp_path: Path) -> None:
    written = plots.draw(rows, "blackout_ms", tmp_path)
    names = [f"blackout_ms-{name}" for name in ("by-rules", "by-ladder", "cumulative")]
    assert [path.name for path in written] == [f"{name}.{suffix}" for name in names for suffix in ("pdf", "png")]
    first = {path: path.read_bytes() for path in written}
    for path, octets in first.items():
        if path.suffix == ".pdf":
            assert octets.startswith(b"%PDF-") and b"/Subtype /Type3" not in octets
        else:
            assert octets.startswith(b"\x89PNG\r\n\x1a\n")
            assert int.from_bytes(octets[16:20]) == round(style.WIDTH * 300)
    plots.draw(rows, "blackout_ms", tmp_path)
    assert {path: path.read_bytes() for path in written} == first


def test_all_text_is_of_8_points(rows: list[Row]) -> None:
    figure = plots.by_parameter(groups(rows), "rules", "blackout_ms")
    (axes,) = panels(figure)
    texts = [axes.xaxis.label, axes.yaxis.label, *axes.get_xticklabels(), *figure.legends[0].get_texts()]
    assert {text.get_fontsize() for text in texts} == {8.0}
    assert figure.get_figwidth() == style.WIDTH == 3.4


def test_a_figure_that_nothing_has_is_not_drawn(rows: list[Row], tmp_path: Path) -> None:
    assert plots.draw(rows, "associate_ms", tmp_path) == []


def test_without_matplotlib_the_error_says_what_to_install(
    rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "available", lambda: False)
    with pytest.raises(SweepError, match="pip install matplotlib"):
        plots.draw(rows, "blackout_ms", tmp_path)


def test_a_packet_log_has_every_datagram_and_tells_the_lost_ones(tmp_path: Path) -> None:
    path = tmp_path / "packets.csv"
    write_packets(path, [FLOW], NOTES)
    read = read_packets(path)
    assert path.read_text().splitlines()[:2] == [
        "flow,proto,origin,target,number,sent,received",
        "probe,udp,client,vm1,0,99.900000,99.901000",
    ]
    assert len(read) == len(list(packets([FLOW], NOTES))) == 40
    assert [packet.number for packet in read if packet.received is None] == [11, 12, 13, 14]
