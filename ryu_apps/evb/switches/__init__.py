"""Switches: from connected to holding the desired rules, groups and meters, and back there after faults.

``bringup`` reads a switch and writes the difference, ``desired`` computes the desired state, ``audit``
and ``repairs`` compare again, ``rerouting`` follows failed links, ``adjacency`` checks the cabling by
LLDP, ``recovery`` protects rules in use after a loss of the store.

The package may use ``pipeline``, ``vsi``, ``services`` and ``ports``.  It emits effects and receives
confirmations; OpenFlow messages are left to ``southbound``.
"""
