"""The picture of the Grafana dashboard: its own queries, answered by a Prometheus, drawn in its own layout.

``make pictures`` draws what was recorded.  To record anew, of a Prometheus that has scraped a bridge::

    python -m tools.dashboard_picture http://127.0.0.1:9090 --minutes 5
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

from PIL import Image

from ryu_apps.testbed.sweep.style import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
DASHBOARD = ROOT / "contrib/grafana/evbridge.json"
RECORDING, PICTURE = (ROOT / "docs/pictures" / name for name in ("dashboard.json", "dashboard.png"))
#: Where the picture says what it was drawn from.
_SOURCE = "Source"
#: Columns of Grafana's grid; inches of a column and of a row.
COLUMNS, WIDE, HIGH = 24, 0.5, 0.36
#: Points of a line.
_POINTS = 60
#: Lines whose names stand in one column.
_FEW = 5
#: Names under which Prometheus keeps what Grafana does not show.
_HIDDEN = {"__name__", "job", "instance"}
#: Units on an axis, and those that stand in the title.
_UNITS, _RATES = {"s": "s", "bytes": "B"}, {"Bps": "octets/s", "reqps": "requests/s", "pps": "frames/s"}


class Series(NamedTuple):
    """One line of a panel: its name, and pairs of Unix time and value."""

    name: str
    labels: Mapping[str, str]
    points: list[tuple[int, float]]


# --- recording ---
def record(prometheus: str, until: float, minutes: float, window: str) -> list[dict[str, Any]]:
    """Ask a Prometheus for all panels of the dashboard.

    Args:
        prometheus: its URL.
        until: Unix time of the last points.
        minutes: time that is shown.
        window: in place of Grafana's ``$__rate_interval``.
    """
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [
        {
            "title": panel["title"],
            "type": panel["type"],
            "grid": panel["gridPos"],
            "unit": panel["fieldConfig"]["defaults"]["unit"],
            "series": [
                found._asdict()
                for target in panel["targets"]
                for found in _asked(prometheus, target, until, minutes, window, panel["type"])
            ],
        }
        for panel in panels
    ]


def filled(query: str, window: str) -> str:
    """Return a query with Grafana's variables replaced: all switches."""
    return query.replace("$switch", ".*").replace("$__rate_interval", window)


def _asked(
    prometheus: str, target: Mapping[str, str], until: float, minutes: float, window: str, kind: str
) -> Iterator[Series]:
    query: dict[str, object] = {"query": filled(target["expr"], window)}
    if kind == "timeseries":
        path, since = "query_range", until - minutes * 60
        query |= {"start": since, "end": until, "step": max(1, minutes * 60 / _POINTS)}
    else:
        path = "query"
        query |= {"time": until}
    with build_opener(ProxyHandler({})).open(f"{prometheus}/api/v1/{path}?{urlencode(query)}", timeout=60) as answer:
        results = json.load(answer)["data"]["result"]
    for result in results:
        points = result.get("values") or [result["value"]]
        known = [(round(when), float(f"{float(value):.4g}")) for when, value in points if value != "NaN"]
        if known:
            yield Series(legend(target["legendFormat"], result["metric"]), result["metric"], known)


def legend(pattern: str, labels: Mapping[str, str]) -> str:
    """Return the name of a line, as Grafana makes it of labels."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), pattern)


# --- drawing ---
def draw(recorded: list[dict[str, Any]]) -> Figure:
    """Draw the panels in the layout of the dashboard."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rows = max(panel["grid"]["y"] + panel["grid"]["h"] for panel in recorded)
    style: Any = {"font.size": 7, "axes.grid": True, "grid.alpha": 0.3, "lines.linewidth": 1.0}
    with rc_context(style):
        figure = Figure(figsize=(COLUMNS * WIDE, rows * HIGH), dpi=120)
        for panel in recorded:
            grid = panel["grid"]
            left, bottom = (grid["x"] + 1.1) / COLUMNS, 1 - (grid["y"] + grid["h"] - 1.0) / rows
            axes = figure.add_axes((left, bottom, (grid["w"] - 1.5) / COLUMNS, (grid["h"] - 1.9) / rows))
            rate = _RATES.get(panel["unit"])
            axes.set_title(panel["title"] + (f", {rate}" if rate else ""), fontsize=8, fontweight="bold", loc="left")
            _PANELS[panel["type"]](axes, panel)
    return figure


def _lines(axes: Axes, panel: Mapping[str, Any]) -> None:
    from matplotlib.ticker import EngFormatter, PercentFormatter

    end = max((points[-1][0] for _, _, points in map(_series, panel["series"])), default=0.0)
    for number, (name, _, points) in enumerate(map(_series, panel["series"])):
        minutes, values = zip(*((((when - end) / 60), value) for when, value in points), strict=True)
        axes.plot(minutes, values, color=COLOURS[number % len(COLOURS)], label=name)
    scale = EngFormatter(_UNITS.get(panel["unit"], ""))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0) if panel["unit"] == "percentunit" else scale)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("minutes", fontsize=6, labelpad=0)
    if panel["series"]:
        columns = 1 if len(panel["series"]) <= _FEW else 2
        axes.legend(fontsize=5, loc="upper left", framealpha=0.7, borderpad=0.2, labelspacing=0.2, ncols=columns)
    else:
        _words(axes, "no data")


def _number(axes: Axes, panel: Mapping[str, Any]) -> None:
    _words(axes, "\n".join(f"{points[-1][1]:g} {name}" for name, _, points in map(_series, panel["series"])), size=16)


def _table(axes: Axes, panel: Mapping[str, Any]) -> None:
    rows = [
        "  ".join(f"{name}={text}" for name, text in sorted(labels.items()) if text and name not in _HIDDEN)
        for _, labels, _ in map(_series, panel["series"])
    ]
    _words(axes, "\n".join(rows) or "none")


def _words(axes: Axes, words: str, size: int = 7) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", fontsize=size, wrap=True)


def _series(recorded: Mapping[str, Any]) -> Series:
    return Series(**recorded)


_PANELS = {"timeseries": _lines, "stat": _number, "table": _table}


def main() -> None:
    """Record, and draw what was recorded."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("prometheus", help="URL")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--window", default="30s", help="in place of $__rate_interval")
    asked = parser.parse_args()
    recorded = record(asked.prometheus, time.time(), asked.minutes, asked.window)
    RECORDING.write_text(json.dumps(recorded) + "\n", encoding="utf-8")
    save()


def save() -> None:
    """Draw what was recorded."""
    draw(json.loads(RECORDING.read_text(encoding="utf-8"))).savefig(PICTURE, metadata={_SOURCE: _digest()})


def is_drawn() -> bool:
    """Return True if the picture is one of this recording by this code."""
    with Image.open(PICTURE) as picture:
        return picture.info.get(_SOURCE) == _digest()


def _digest() -> str:
    """Of the recording and of this module."""
    return sha256(RECORDING.read_bytes() + Path(__file__).read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
