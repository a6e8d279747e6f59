"""The request of another pod to shut the gate of a VSI."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class RequestToShut:
    """One request; the directory is asked whether it still holds.

    Attributes:
        decided: the engine was told to shut the gate, or the request is refused.
        refused: that pod has not claimed the VSI, or not last.
    """

    decided: bool = False
    refused: bool = False
