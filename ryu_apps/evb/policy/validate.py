"""Validation of a document by pydantic, with line and column of each mistake."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails

from ryu_apps.evb.policy.diagnostic import Diagnostic, error
from ryu_apps.evb.policy.document import Document

#: Seconds of a flow rule's timeout: OpenFlow has 16 bits.
Timeout = Annotated[int, Field(ge=1, le=0xFFFF)]

#: Most seconds from the move of a VSI to the De-Associate for the station that it has left.
LONGEST_NOTICE = 3600


def _notice(written: object) -> float:
    seconds = {"now": 0.0, "never": math.inf}.get(written) if isinstance(written, str) else None
    if (
        seconds is None
        and isinstance(written, int)
        and not isinstance(written, bool)
        and 1 <= written <= LONGEST_NOTICE
    ):
        seconds = float(written)
    if seconds is None:
        raise ValueError(f"now, never or a number of seconds from 1 to {LONGEST_NOTICE} was expected")
    return seconds


def notice_text(seconds: float | None) -> str | int | None:
    """Return the form in which a file has the time of a notice: ``now``, ``never`` or seconds; None for none."""
    if seconds is None:
        return None
    return "never" if seconds == math.inf else int(seconds) or "now"


#: Seconds after which the station that a VSI has left is notified: ``now`` is 0, ``never`` infinite.
NotifyDisplaced = Annotated[float, PlainValidator(_notice), WithJsonSchema({"type": ["string", "integer"]})]
NullVidText = Literal["fill", "keep"]


Model = TypeVar("Model", bound=BaseModel)

#: ``(unknown key, kind of its mapping) -> reason``, None for the default reason.
Explain = Callable[[str, str], str | None]

#: Unknown keys for which a similar known key is searched; bounded, as a file may consist of unknown keys.
MAX_GUESSES = 100


class Strict(BaseModel):
    """A mapping of the file: unknown keys are mistakes, and text such as ``"1"`` is not a number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)


class BodyError(ValueError):
    """The body of a request is not valid; the text has path and reason.

    Attributes:
        status: HTTP status: 400 for text that is not JSON, else 422.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def read_body(model: type[Model], octets: bytes) -> Model:
    """Check the JSON body of a request.

    Raises:
        BodyError: the first mistake.
    """
    try:
        return model.model_validate_json(octets)
    except ValidationError as problems:
        first = problems.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        status = 400 if first["type"] == "json_invalid" else 422
        raise BodyError(status, f"{where}: {first['msg']}" if where else first["msg"]) from None


def validate(
    model: type[Model], document: Document, explain: Explain = lambda key, kind: None
) -> tuple[Model | None, list[Diagnostic]]:
    """Check a document against a model.

    Args:
        model: of the whole file.
        document: as read.
        explain: reasons for unknown keys.

    Returns:
        the instance, or None with at least one diagnostic.
    """
    try:
        return model.model_validate(document.data), []
    except ValidationError as problems:
        return None, [
            _diagnostic(document, problem, explain, model, guess=number < MAX_GUESSES)
            for number, problem in enumerate(problems.errors(include_url=False))
        ]
    except RecursionError:  # pragma: no cover - the reader bounds the depth
        return None, [error(document.file, document.value_place(()), "nested too deeply")]


def _diagnostic(
    document: Document, problem: ErrorDetails, explain: Explain, model: type[BaseModel], guess: bool
) -> Diagnostic:
    path = problem["loc"]
    kind = problem["type"]
    if kind == "extra_forbidden":
        key = str(path[-1])
        holder = next((str(part) for part in reversed(path[:-1]) if " " in str(part)), "")
        reason = explain(key, holder) or _unknown(key, _known_keys(model), guess)
        return error(document.file, document.key_place(path), reason)
    if kind == "missing":
        return error(document.file, document.key_place(path[:-1]), f"missing key {str(path[-1])!r}")
    if kind == "union_tag_not_found":
        return error(document.file, document.key_place(path), f"missing key {problem['ctx']['discriminator']}")
    if kind == "union_tag_invalid":
        tag = problem["ctx"]["discriminator"].strip("'")
        reason = f"{problem['ctx']['tag']!r} is not one of {problem['ctx']['expected_tags']}"
        return error(document.file, document.value_place((*path, tag)), reason)
    if path and path[-1] == "[key]":
        return error(document.file, document.key_place(path[:-1]), f"key {path[-2]!r}: {_reason(problem)}")
    return error(document.file, document.value_place(path), _reason(problem))


def _reason(problem: ErrorDetails) -> str:
    cause: Any = problem.get("ctx", {}).get("error")
    if cause is not None:
        return str(cause)
    message = problem["msg"]
    if problem["type"] in ("model_type", "dict_type", "model_attributes_type"):
        message = "a mapping was expected"
    elif problem["type"] in ("list_type", "tuple_type"):
        message = "a list was expected"
    else:
        message = message[0].lower() + message[1:]
    given = problem["input"]
    shown = "" if isinstance(given, dict | list | tuple) or given is None else f", not {given!r}"
    return message + (shown if len(shown) < 80 else "")


def _unknown(key: str, known: list[str], guess: bool) -> str:
    if key in known:
        return f"key {key!r} does not belong here"
    close = difflib.get_close_matches(key, known, 1) if guess and len(key) <= 64 else []
    return f"unknown key {key!r}" + (f" (did you mean {close[0]!r}?)" if close else "")


@lru_cache
def _known_keys(model: type[BaseModel]) -> list[str]:
    nested = model.model_json_schema().get("$defs", {}).values()
    return sorted({*model.model_fields, *(name for schema in nested for name in schema.get("properties", {}))})
