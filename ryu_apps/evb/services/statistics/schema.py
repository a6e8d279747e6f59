"""Section ``statistics`` of a policy file, and the policy made of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from ryu_apps.evb.policy.diagnostic import Diagnostic, error
from ryu_apps.evb.policy.document import Document
from ryu_apps.evb.policy.model import Trigger, VsiType
from ryu_apps.evb.policy.schema import TriggerText
from ryu_apps.evb.policy.section import Section
from ryu_apps.evb.policy.validate import Strict

NAME = "statistics"
#: Rules of both directions together that can be counted one by one: each takes a counter of every VSI.
MAX_RULES = 1000


class ExtractionText(Enum):
    """Carrier of a VSI's totals from switch to switch."""

    CONTROLLER = "controller"
    NMS = "nms"


class StatisticsSection(Strict):
    """Counts of a VSI, and the carrier of its totals."""

    per_rule: bool = False
    extraction: Literal["controller", "nms"] = "controller"
    trigger: TriggerText | None = None


@dataclass(frozen=True, slots=True)
class StatisticsPolicy:
    """The statistics of a VSI type.

    Attributes:
        per_rule: also by the rule of the ACL that judged a frame.
        extraction: who carries the totals.
        trigger: None: as the type has it.
    """

    per_rule: bool
    extraction: ExtractionText
    trigger: Trigger | None = None


def _resolve(section: StatisticsSection, document: Document) -> StatisticsPolicy:
    trigger = Trigger(section.trigger) if section.trigger else None
    return StatisticsPolicy(section.per_rule, ExtractionText(section.extraction), trigger)


def _meaning(value: StatisticsPolicy) -> object:
    return value.per_rule, value.extraction.value, value.trigger and value.trigger.value


def _mistakes(vsi_type: VsiType, value: StatisticsPolicy, document: Document) -> Iterator[Diagnostic]:
    rules = len(vsi_type.from_vm.rules) + len(vsi_type.to_vm.rules)
    if value.per_rule and rules > MAX_RULES:
        place = document.value_place((NAME, "per_rule"))
        yield error(document.file, place, f"{rules} rules, at most {MAX_RULES} can be counted one by one")


SECTION = Section(NAME, StatisticsSection, _resolve, _meaning, _mistakes)
