"""Simulation of one Open vSwitch: the frames it emits for a frame, given its rules and groups.

``switch`` carries out lookups and actions, ``packet`` reads and rewrites fields, ``learning`` is the learn action, and
``steps`` are what a frame met.  ``evbridge explain`` shows them; unit and property tests use the simulation in place of
a switch; tests/interop compares it with a real one.

Pure.  Imports ``flow`` only: the simulation must not share code with the compiler of the rules that it
checks.
"""
