"""Statistics of VSIs: what the counters of their rules add up to, over switches and moves.

``counters`` reads and removes meters in switches, ``accounts`` assigns and retains the counts of each
VSI, ``totals`` does the arithmetic and encodes the record.

The package may use ``services.statistics``, ``pipeline`` and the registry.  Reads, writes and events go
out through the pending changes of the lifecycle.
"""
