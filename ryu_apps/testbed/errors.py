"""Errors of the testbed: one base class, so that a command can tell them from defects of this code.

A command shows a :class:`TestbedError` as one line.  Any other exception is a defect and keeps its traceback.
"""

from __future__ import annotations

__all__ = ["DeadlineError", "TestbedError"]


class TestbedError(Exception):
    """Base class of all errors that the testbed raises on purpose; the text is for people."""

    __test__ = False  # pytest collects classes of this name otherwise


class DeadlineError(TestbedError, TimeoutError):
    """A condition did not come true within its time limit."""
