"""Numbers in the bodies of requests."""

from __future__ import annotations

from pydantic import BeforeValidator


def _integral(written: object) -> object:
    return int(written) if isinstance(written, float) and written.is_integer() else written


#: Beside the type of an integer: 5.0 is one, as in JSON Schema; some clients write all numbers so.
INTEGRAL = BeforeValidator(_integral)
