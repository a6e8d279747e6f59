"""Faults: broken channels, killed processes, full disks and hostile frames, and checks of what must survive them.

``proxy`` stands between switches and controller; ``rig`` is a cluster whose parts can be broken; ``kinds`` are the
faults, ``hostile`` those of neighbours and guests; ``nemesis`` draws them at random from a seed.

May use ``harness``, ``emulator`` and ``flow_dumps``.  The assertions are those of the tests that use it.
"""
