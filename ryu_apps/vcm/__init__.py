"""Cluster manager: places VMs, plans moves, and decides the steps of each.

``inventory`` and ``loader`` read a cluster's nodes and VMs, ``placement`` ranks nodes, ``plans`` makes a plan of a
goal.  ``move`` is one move as a table, ``orchestrator`` runs the moves of a plan, ``service`` runs goals one after the
other, ``resources`` answers REST requests about them.  ``trace`` generates and reads days of placements.

Pure: time is an argument, steps are outputs that an agent carries out.  May use the core's policies, diagnostics and
transition tables.
"""
