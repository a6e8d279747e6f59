"""All worksheets, and all questions, by number."""

from __future__ import annotations

from ryu_apps.testbed.lab.bodies import BODIES
from ryu_apps.testbed.lab.ladders import LADDERS

WORKSHEETS = {worksheet.number: worksheet for worksheet in (BODIES, LADDERS)}
QUESTIONS = {question.number: question for worksheet in WORKSHEETS.values() for question in worksheet.questions}
