"""A ladder as a Mermaid sequence diagram."""

from __future__ import annotations

import json

from ryu_apps.testbed.ladder.model import LadderDiagram, LadderStep, Lane


def render(ladder: LadderDiagram) -> str:
    """The text of a ``.mmd`` file."""
    # The front matter is YAML, in which a string of JSON is one.
    lines = ["---", f"title: {json.dumps(ladder.title, ensure_ascii=False)}", "---", "sequenceDiagram"]
    lines += [f"    participant {lane.name} as {_plain(ladder.heading(lane))}" for lane in Lane]
    lines += [f"    {_statement(step, ladder.milliseconds(step))}" for step in ladder.in_order()]
    return "\n".join(lines) + "\n"


def _statement(step: LadderStep, milliseconds: float) -> str:
    words = f"{milliseconds:.1f} ms: {_plain(step.text)}"
    if step.is_note:
        return f"Note over {step.origin.name}: {words}"
    return f"{step.origin.name}->>{step.target.name}: {words}"


def _plain(text: str) -> str:
    """Mermaid ends a statement at a semicolon and reads ``#`` as an entity."""
    return text.replace("#", "no. ").replace(";", ",")
