"""The datapath of the test switches: Open vSwitch's own in user space, or the kernel's."""

from __future__ import annotations

import os
from enum import StrEnum

#: Environment variable with the datapath of all bridges that the harness makes.
DATAPATH_VARIABLE = "EVBRIDGE_DATAPATH"


class Datapath(StrEnum):
    """Values of Open vSwitch's ``datapath_type``."""

    USER_SPACE = "netdev"
    KERNEL = "system"

    @property
    def device(self) -> str:
        """Interface that it makes in the network namespace of its switches."""
        return f"ovs-{self}"


def configured_datapath() -> Datapath:
    """Return the datapath to test with: the user-space one unless the environment names another.

    Raises:
        ValueError: the environment names none that exists.
    """
    return Datapath(os.environ.get(DATAPATH_VARIABLE, Datapath.USER_SPACE))
