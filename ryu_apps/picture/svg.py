"""The picture as SVG: no script, no font of its own; what colour says, form says too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from xml.sax.saxutils import escape

from ryu_apps.evb.topology.appliance_ports import parts_at_hosts
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.picture.layout import Layout, Line, Rectangle, lay_out
from ryu_apps.picture.live import QUIET, Live, Marker, VsiStage

_CHARACTER, _BOLD_CHARACTER, _SMALL_CHARACTER = 6.4, 7.2, 5.6
_RADIUS, _STEP = 4.5, 12.0
#: VSIs of a port that are drawn; the last place says how many more there are.
_MARKERS = 6
#: Content of the style element.
STYLE = """\
text{font:11px system-ui,sans-serif;fill:#1f2933}
.title{font-size:16px;font-weight:600}.summary{fill:#52606d}.middle{text-anchor:middle}
.name{font-weight:600}.small{font-size:9px;fill:#52606d}
.switch{fill:#e4e7eb;stroke:#52606d;stroke-width:1.2}
.station{fill:#fff;stroke:#9aa5b1}.host{fill:#fff7e0;stroke:#d9a200}
.appliance{fill:#fff7e0;stroke:#d9a200;stroke-width:2.6}
.link{stroke:#9aa5b1;stroke-width:1.2;fill:none}.tree{stroke:#2f6fde;stroke-width:2.6;fill:none}
.down{stroke:#c92a2a;stroke-width:1.6;stroke-dasharray:5 3}.cross{stroke:#c92a2a;stroke-width:2}
.fault{fill:#c92a2a;font-size:9px;font-weight:600}
.active{fill:#2b8a3e;stroke:#2b8a3e;stroke-width:1.6}.staged{fill:#fff;stroke:#2b8a3e;stroke-width:1.6}
.under-way{fill:#fff;stroke:#7b8794;stroke-width:1.4;stroke-dasharray:2 1.6}
.move{stroke:#2b8a3e;stroke-width:1.2;stroke-dasharray:3 3;fill:none}"""
_MARK_CLASS = {VsiStage.ACTIVE: "active", VsiStage.STAGED: "staged", VsiStage.UNDER_WAY: "under-way"}


def render(title: str, fabric: Fabric, live: Live = QUIET) -> str:
    """The text of an ``.svg`` file.

    Args:
        title: written at the top.
        live: what is going on; what is at ports that the fabric does not have is left out.
    """
    layout = lay_out(fabric, live.down)
    crowds: dict[PortId, list[Marker]] = {port: [] for port in layout.nodes}
    for marker in live.markers:
        if marker.port in crowds:
            crowds[marker.port].append(marker)
    dots = {marker: place for port, box in layout.nodes.items() for marker, place in _dots(crowds[port], box)}
    size = (
        f'viewBox="0 0 {layout.width:.0f} {layout.height:.0f}" width="{layout.width:.0f}" height="{layout.height:.0f}"'
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text class="title" x="20" y="28">{escape(title)}</text>',
        f'<text class="summary" x="20" y="46">{escape(_summary(fabric, layout, live))}</text>',
        *(_line(drawn, fabric, live) for drawn in sorted(layout.lines, key=lambda drawn: drawn.link.in_tree)),
        *(_switch(dpid, box, fabric, live) for dpid, box in layout.switches.items()),
        *(_node(port, box, fabric, live) for port, box in layout.nodes.items()),
        *_moves(dots),
        *(_dot(marker, place) for marker, place in dots.items()),
        *(_words_beside_dots(crowds[port], box, port in live.down) for port, box in layout.nodes.items()),
        _legend(layout),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _summary(fabric: Fabric, layout: Layout, live: Live) -> str:
    parts = [
        _counted(len(fabric.switches), "switch", "switches"),
        _counted(len(fabric.ports(Role.STATION)), "hypervisor"),
        _counted(len(fabric.ports(Role.HOST)), "end system"),
        _counted(len(layout.lines), "link"),
    ]
    stages = Counter(marker.stage for marker in live.markers if marker.port in layout.nodes)
    parts += [f"{_counted(stages[stage], 'VSI')} {stage.value}" for stage in reversed(VsiStage) if stages[stage]]
    down = sum(fabric.interface(port) is not None for port in live.down)
    return ", ".join(parts + ([f"{_counted(down, 'port')} down"] if down else []))


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


# --- switches and what hangs on them ---------------------------------------------------------------
def _switch(dpid: int, box: Rectangle, fabric: Fabric, live: Live) -> str:
    switch = fabric.switches[dpid]
    trouble = live.absent.get(dpid)
    words = f"{switch.name}: {trouble}" if trouble else switch.name
    below = ", ".join(vswitch.name for vswitch in fabric.vswitches if dpid in vswitch.members)
    about = [switch.name, f"datapath {dpid:016x}", *filter(None, (below, trouble))]
    return _titled(
        ", ".join(about),
        _rect(box, "switch down" if trouble else "switch", 4)
        + _text(box.middle, box.y + (14 if below else 19), _fitting(words, box.width, _BOLD_CHARACTER), "name middle")
        + (
            _text(box.middle, box.y + 25, _fitting(below, box.width, _SMALL_CHARACTER), "small middle") if below else ""
        ),
        switch=f"{dpid:016x}",
    )


def _node(port: PortId, box: Rectangle, fabric: Fabric, live: Live) -> str:
    interface = fabric.interface(port)
    assert interface is not None
    down = port in live.down
    service = interface.appliance or _appliance_at(port, fabric)
    kind, radius = _shape(interface, service)
    where = f"{fabric.switches[port.dpid].name} port {port.port_no}"
    about = [interface.name, service or interface.role_text, where, *(["down"] if down else [])]
    number = str(port.port_no)
    room = box.width - len(number) * _SMALL_CHARACTER - 12
    return _titled(
        ", ".join(about),
        _rect(box, f"{kind} down" if down else kind, radius)
        + _text(box.x + 6, box.y + 14, _fitting(interface.name, room, _BOLD_CHARACTER), "name")
        + _text(box.right - 5, box.y + 13, number, "small", 'text-anchor="end"')
        + (_text(box.right - 5, box.bottom - 6, "down", "fault", 'text-anchor="end"') if down else ""),
        port=port,
    )


def _appliance_at(port: PortId, fabric: Fabric) -> str | None:
    """The appliance of which an instance is at a host port, None if there is none."""
    return next((found.name for found in fabric.appliances if port in parts_at_hosts(fabric, found).values()), None)


def _shape(interface: Interface, service: str | None) -> tuple[str, float]:
    """Class and how round."""
    if interface.role is Role.STATION:
        return "station", 3
    return ("appliance", 12) if service else ("host", 12)


# --- VSIs ------------------------------------------------------------------------------------------
def _dots(crowd: list[Marker], box: Rectangle) -> Iterator[tuple[Marker, tuple[float, float]]]:
    shown = len(crowd) if len(crowd) <= _MARKERS else _MARKERS - 1
    for number, marker in enumerate(crowd[:shown]):
        yield marker, (box.x + 11 + number * _STEP, box.bottom - 10)


def _words_beside_dots(crowd: list[Marker], box: Rectangle, down: bool) -> str:
    """Label beside the dots: the name of a single VSI, or the number that is not drawn."""
    if len(crowd) == 1:
        room = box.width - 24 - (26 if down else 0)
        return _text(box.x + 20, box.bottom - 6.5, _fitting(crowd[0].label, room, _SMALL_CHARACTER), "small")
    if len(crowd) > _MARKERS:
        return _text(box.x + 7 + (_MARKERS - 1) * _STEP, box.bottom - 6.5, f"+{len(crowd) - _MARKERS + 1}", "small")
    return ""


def _dot(marker: Marker, place: tuple[float, float]) -> str:
    about = [marker.label, marker.vsi, *([f"type {marker.vsi_type}"] if marker.vsi_type else []), marker.phase]
    x, y = place
    circle = f'<circle class="{_MARK_CLASS[marker.stage]}" cx="{x:.1f}" cy="{y:.1f}" r="{_RADIUS}"/>'
    return _titled(", ".join(about), circle)


def _moves(dots: dict[Marker, tuple[float, float]]) -> Iterator[str]:
    """From where a VSI is active to where else it is."""
    active = {marker.vsi: place for marker, place in dots.items() if marker.stage is VsiStage.ACTIVE}
    for marker, (x2, y2) in dots.items():
        if marker.stage is not VsiStage.ACTIVE and marker.vsi in active:
            x1, y1 = active[marker.vsi]
            top = min(y1, y2) - 34
            path = f"M{x1:.1f} {y1:.1f}C{x1:.1f} {top:.1f} {x2:.1f} {top:.1f} {x2:.1f} {y2:.1f}"
            yield f'<path class="move" d="{path}"/>'


# --- links -----------------------------------------------------------------------------------------
def _line(line: Line, fabric: Fabric, live: Live) -> str:
    (x1, y1), (x2, y2) = line.start, line.stop
    down = bool(live.down.intersection(line.link.ends))
    kind = "tree" if line.link.in_tree else "link"
    x, y = (x1 + x2) / 2, (y1 + y2) / 2 - line.bend / 2
    path = f"M{x1:.1f} {y1:.1f}" + (
        f"Q{x:.1f} {y - line.bend / 2:.1f} {x2:.1f} {y2:.1f}" if line.bend else f"L{x2:.1f} {y2:.1f}"
    )
    names = " - ".join(f"{fabric.switches[end.dpid].name} port {end.port_no}" for end in line.link.ends)
    about = names + (", down" if down else ", broadcast tree" if line.link.in_tree else "")
    cross = f'<path class="cross" d="M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10"/>' if down else ""
    drawn = f'<path class="{"link down" if down else kind}" d="{path}"/>{cross}'
    return _titled(about, drawn, ends=" ".join(map(str, line.link.ends)))


# --- legend ----------------------------------------------------------------------------------------
def _legend(layout: Layout) -> str:
    """Two rows of symbols and words, lower left."""
    rows = (
        ('<path class="link" d="M0 0h26"/>', "link"),
        ('<path class="tree" d="M0 0h26"/>', "broadcasts travel here"),
        ('<path class="link down" d="M0 0h26"/><path class="cross" d="M8 -5l10 10m0 -10l-10 10"/>', "down"),
        ('<rect class="station" x="0" y="-8" width="26" height="16" rx="3"/>', "hypervisor"),
        ('<rect class="host" x="0" y="-8" width="26" height="16" rx="8"/>', "end system"),
        ('<rect class="appliance" x="0" y="-8" width="26" height="16" rx="8"/>', "appliance"),
    ), (
        (f'<circle class="active" cx="13" r="{_RADIUS}"/>', "VSI, active"),
        (f'<circle class="staged" cx="13" r="{_RADIUS}"/>', "VSI, staged"),
        (f'<circle class="under-way" cx="13" r="{_RADIUS}"/>', "VSI, under way"),
        ('<path class="move" d="M0 0h26"/>', "the same VSI"),
    )  # fmt: skip
    parts = []
    for number, row in enumerate(rows):
        x, y = 20.0, layout.height - 42 + 24 * number
        for symbol, words in row:
            parts.append(f'<g transform="translate({x:.0f} {y:.0f})">{symbol}{_text(32, 4, words)}</g>')
            x += 50 + len(words) * _CHARACTER
    return "".join(parts)


# --- elements --------------------------------------------------------------------------------------
def _titled(about: str, inner: str, **data: object) -> str:
    """A group with its title; ``data``: attributes ``data-...`` by which a page finds it."""
    named = "".join(f' data-{name}="{value}"' for name, value in data.items())
    return f"<g{named}><title>{escape(about)}</title>{inner}</g>"


def _rect(box: Rectangle, kind: str, radius: float) -> str:
    return (
        f'<rect class="{kind}" x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
        f' rx="{radius:g}"/>'
    )


def _text(x: float, y: float, words: str, kind: str = "", more: str = "") -> str:
    attributes = "".join(f" {attribute}" for attribute in (f'class="{kind}"' if kind else "", more) if attribute)
    return f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{escape(words)}</text>'


def _fitting(words: str, width: float, character: float) -> str:
    """As much of it as there is room for."""
    most = max(1, int(width / character))
    return words if len(words) <= most else words[: most - 1] + "…"
