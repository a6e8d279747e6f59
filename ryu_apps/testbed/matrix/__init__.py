"""The founding paper's tables, measured: every service, both ladders, both triggers, suspensions, many connections.

``run.Matrix`` moves a VM under a ``workload`` of one service (``tcp``, ``groups``, ``names``, ...) and reads the
bridge's timeline; ``play`` builds the cluster and runs all cases.  ``record`` keeps the ``cells``; ``verdicts``,
``paper`` and ``complexity`` judge them by rules, and ``tables`` renders them.  ``record.json`` is the manual's run.

May use ``harness``, ``emulator`` and ``moves``.  What judges and renders is pure.
"""
