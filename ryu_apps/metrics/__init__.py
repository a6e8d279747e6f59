"""Metrics for Prometheus: counters of log events, gauges read from engine and process, and their exposition.

Labels of switches follow FAUCET's: ``dp_id`` in hexadecimal, ``dp_name``.  Units are those of Prometheus: seconds and
bytes.  Every series of a configured switch exists from the start, so that Prometheus sees the first increment.
"""
