"""The error of the wire layer: received octets that do not follow the standard."""

from __future__ import annotations


class WireError(ValueError):
    """Received octets do not follow the standard.

    The sender is at fault: the receiver counts the frame, drops it and continues.

    Attributes:
        reason: the fault, for a log line.
        field: the field that was being read.
        offset: octets from the start of the data handed to the decoder.
    """

    def __init__(self, reason: str, *, field: str = "", offset: int = 0) -> None:
        super().__init__(reason, field, offset)
        self.reason = reason
        self.field = field
        self.offset = offset

    def __str__(self) -> str:
        return f"{self.field or 'data'} at octet {self.offset}: {self.reason}"
