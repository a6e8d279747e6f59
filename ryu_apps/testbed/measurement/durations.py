"""Durations of a measurement on a cluster, in seconds."""

from __future__ import annotations

#: Traffic before the first and after each migration.
RUN_UP, RUN_OUT = 0.5, 1.0
#: Within which a bridge has to have removed what it no longer needs.
TIDY = 5.0
