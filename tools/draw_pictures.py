"""The pictures of README.rst and the manual, drawn from what was recorded of a run: ``make pictures``.

``docs/pictures`` has the recordings beside the pictures: ladders in their Mermaid form, of ``evbridge replay`` and of
``make test-hypervisor``, and the answers of ``/evb/status`` and ``/evb/vsis`` while the destination had staged the
VM's policy.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from ryu_apps.picture import read_live
from ryu_apps.picture import render as render_fabric
from ryu_apps.testbed.ladder.model import LadderDiagram, LadderStep, Lane
from ryu_apps.testbed.ladder.svg import render as render_ladder
from ryu_apps.topologies import catalogue
from tools import dashboard_picture

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"

#: Names of the ladders: of a replay, and of migrations by virsh.
LADDERS = ("ladder", "libvirt", "libvirt-suspend")

_STATEMENT = re.compile(
    r"    (?:Note over (?P<at>\w+)|(?P<origin>\w+)->>(?P<target>\w+)): (?P<ms>[\d.]+) ms: (?P<words>.*)"
)


def pictures(folder: Path) -> Mapping[str, str]:
    """Return the SVG text of each picture by its file name.

    Args:
        folder: of the recordings.
    """
    status, vsis = (json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in ("status", "vsis"))
    fabric, _ = catalogue.describe("two_switch")
    title = "two_switch: VSI fc2d7a1c of vm1 is active at hv1 and staged at hv5"
    return {
        "cluster.svg": render_fabric(title, fabric, read_live(status, vsis)),
        **{f"{name}.svg": render_ladder(read_mermaid(_recorded(folder, name))) for name in LADDERS},
    }


def _recorded(folder: Path, name: str) -> str:
    return (folder / f"{name}.mmd").read_text(encoding="utf-8")


def read_mermaid(recorded: str) -> LadderDiagram:
    """Return the ladder of which ``ryu_apps.testbed.ladder.mermaid`` wrote the text."""
    (title,) = re.findall(r"^title: (.*)$", recorded, re.MULTILINE)
    headings = dict(re.findall(r"^    participant (\w+) as (.*)$", recorded, re.MULTILINE))
    names = {lane: headings[lane.name].removeprefix(lane.value).strip() for lane in Lane}
    statements = [found for line in recorded.splitlines() if (found := _STATEMENT.fullmatch(line))]
    return LadderDiagram(json.loads(title), names, tuple(map(_step, statements)))


def _step(statement: re.Match[str]) -> LadderStep:
    origin, target = (statement[end] or statement["at"] for end in ("origin", "target"))
    return LadderStep(float(statement["ms"]) / 1000, Lane[origin], Lane[target], statement["words"])


def main() -> None:
    """Draw all pictures anew, but for the dashboard if it is as it was: its octets depend on the processor."""
    for name, drawn in pictures(PICTURES).items():
        (PICTURES / name).write_text(drawn, encoding="utf-8")
    if not dashboard_picture.is_drawn():
        dashboard_picture.save()


if __name__ == "__main__":
    main()
