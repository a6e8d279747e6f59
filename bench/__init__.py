"""Figures, never verdicts: ratios from one interleaved run on a private Open vSwitch."""
