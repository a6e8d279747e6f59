"""``.. matrix:: fix-up``: a table of the founding paper, computed from the recorded run by the rules of the code."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from tables import table

from ryu_apps.testbed.matrix import complexity, paper
from ryu_apps.testbed.matrix.play import WORKLOADS
from ryu_apps.testbed.matrix.record import SHOWN, read_record
from ryu_apps.testbed.matrix.tables import MatrixTable, rule_table, tables
from ryu_apps.testbed.matrix.verdicts import ANSWER_RULES, COST_RULES, FIX_UP_RULES

SENTENCES = {
    "simpler-rule": complexity.SIMPLER_RULE,
    "benefit-rule": paper.BENEFIT_RULE,
    "paper-rule": paper.PAPER_RULE,
}
RULES = {
    "fix-up-rules": rule_table("Fix-up", FIX_UP_RULES),
    "cost-rules": rule_table("Cost to connections", COST_RULES),
    "answer-rules": rule_table("Answer to Associate", ANSWER_RULES),
}


class Matrix(Directive):
    """A table or a sentence by its name."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table or the sentence; docutils' entry point."""
        name = self.arguments[0]
        record = read_record(SHOWN)
        sentences = {**SENTENCES, "conditions": record.conditions}
        if name in sentences:
            return [nodes.paragraph("", sentences[name])]
        return [_table({**RULES, **tables(record.cells, WORKLOADS)}[name])]


def _table(found: MatrixTable) -> nodes.table:
    made = table([len(head) + 8 for head in found.head], found.head, found.rows)
    made.insert(0, nodes.title("", found.title))
    made["classes"].append("colwidths-auto")
    return made


def setup(app: Any) -> dict[str, bool]:
    """Register the directive; Sphinx' entry point."""
    app.add_directive("matrix", Matrix)
    return {"parallel_read_safe": True}
