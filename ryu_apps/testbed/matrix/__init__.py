"""The founding paper's tables, measured: every service, both ladders, both triggers, many connections.

``run.Matrix`` moves a VM under a ``workload`` of one service (``tcp``, ``groups``, ``names``, ...) and reads the
bridge's timeline; ``play`` builds the cluster and runs all cases; ``tables`` renders the cells.

May use ``harness``, ``emulator`` and ``moves``.  ``tables`` is pure.
"""
