"""VSI types as JSON and back: nothing that is decoded is executed.

What is read has the structure of the classes of :mod:`~ryu_apps.evb.policy.model`, or is refused; whether it is what
was written is for a digest to say.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.policy.section import Section

_DECODER = TypeAdapter(VsiType)
#: A notice may take for ever, which JSON itself has no number for.
_ENCODER = TypeAdapter(tuple[VsiType], config=ConfigDict(ser_json_inf_nan="constants"))


def encode_type(vsi_type: VsiType) -> bytes:
    """Return a type as JSON on one line, without the text of its file."""
    return _ENCODER.dump_json((replace(vsi_type, text=""),))[1:-1]


def decode_type(data: bytes, sections: tuple[Section, ...]) -> VsiType:
    """Return the type, without the text of its file.

    Args:
        data: as of :func:`encode_type`.
        sections: the services that a type may have.

    Raises:
        ValueError: it is no such type.
    """
    found = _DECODER.validate_json(data)
    known = {section.name: section for section in sections}
    if strangers := [name for name, _ in found.services if name not in known]:
        raise ValueError(f"unknown services: {', '.join(strangers)}")
    services = tuple((name, _service(known[name]).validate_python(value)) for name, value in found.services)
    return replace(found, services=services)


@lru_cache
def _service(section: Section) -> TypeAdapter[Any]:
    return TypeAdapter(section.value)
