"""Style of plots for papers: 3.4 inches wide, a column of two, in 8 pt; PDF and PNG.

Of matplotlib only the figure's objects are used: no window, and no state that is shared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Inches of a column, and the height of one panel.
WIDTH, HEIGHT = 3.4, 2.3
#: Lines that can be told apart in one plot, by colour (those of Okabe and Ito, for all kinds of eyes) and by marker.
MOST_LINES = 8
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C510A")
MARKERS = "os^Dv<>P"
#: Characters that fit into the width of a legend, of which each entry has some for its line; inches of a row.
_CHARACTERS, _HANDLE, _ROW = 54, 6, 0.16
#: Fonts are embedded as type 42, which publishers ask for.
_STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.5,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "pdf.fonttype": 42,
    "savefig.dpi": 300,
}
MISSING = (
    "plots need matplotlib, which is not installed: pip install matplotlib, or evbridge with its extra plots"
    " (in a checkout: pip install '.[plots]')"
)


def available() -> bool:
    """Return True if matplotlib is installed."""
    return find_spec("matplotlib") is not None


@contextmanager
def new_figure(panels: int = 1) -> Iterator[tuple[Figure, Sequence[Axes]]]:
    """A figure with panels above each other; what is drawn within the block has the style."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH, HEIGHT * (1 + 0.7 * (panels - 1))), layout="constrained")
        yield figure, list(figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0])


def legend(figure: Figure, axes: Axes, marker_scale: float = 1.0) -> None:
    """A legend above the plot, which becomes so much higher, if there is more than one line."""
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) > 1:
        columns = max(1, min(3, _CHARACTERS // (max(map(len, labels)) + _HANDLE)))
        figure.set_figheight(figure.get_figheight() + _ROW * -(-len(labels) // columns))
        options = {"ncols": columns, "frameon": False, "markerscale": marker_scale}
        figure.legend(handles, labels, loc="outside upper left", **options)


def save(figure: Figure, path: Path) -> list[Path]:
    """Write a figure as PDF and PNG; the same data give the same files."""
    from matplotlib import rc_context

    written = [path.parent / f"{path.name}.{suffix}" for suffix in ("pdf", "png")]
    with rc_context(_STYLE):
        figure.savefig(written[0], metadata={"CreationDate": None})
        figure.savefig(written[1])
    return written
