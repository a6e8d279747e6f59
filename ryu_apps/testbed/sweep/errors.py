"""Errors of a sweep."""

from __future__ import annotations

from ryu_apps.testbed.errors import TestbedError


class SweepError(TestbedError):
    """A sweep cannot be made as it was asked for, or continued; the text says why."""
