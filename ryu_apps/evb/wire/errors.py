"""The one error of the wire layer: the peer sent octets that mean nothing."""

from __future__ import annotations


class WireError(ValueError):
    """Received octets do not follow the standard.  The sender is at fault: count it and go on.

    Attributes:
        reason: what is wrong, for a log line.
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
