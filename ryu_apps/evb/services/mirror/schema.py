"""Section ``mirror`` of a policy file, and the policy made of it."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Annotated, Literal

from pydantic import Field

from ryu_apps.evb.policy.document import Document
from ryu_apps.evb.policy.section import Section
from ryu_apps.evb.policy.validate import Strict

NAME = "mirror"


class MirrorSection(Strict):
    """Destination of the copies, and the direction of the frames that are copied."""

    to: Annotated[str, Field(min_length=1, max_length=64)]
    direction: Literal["both", "from_vm", "to_vm"] = "both"


@dataclass(frozen=True, slots=True)
class MirrorPolicy:
    """The mirror of a VSI type.

    Attributes:
        to: name of a port of role ``mirror``.
        from_vm, to_vm: frames in this direction are copied.
    """

    to: str
    from_vm: bool = True
    to_vm: bool = True


def _resolve(section: MirrorSection, document: Document) -> MirrorPolicy:
    return MirrorPolicy(section.to, section.direction != "to_vm", section.direction != "from_vm")


def _meaning(value: MirrorPolicy) -> object:
    return astuple(value)


SECTION = Section(NAME, MirrorSection, _resolve, _meaning)
