"""Simulation of one Open vSwitch: the frames it emits for a frame, given its rules and groups.

``switch`` carries out lookups and actions, ``learning`` the learn action.  Unit and property tests use it in
place of a switch; tests/interop compares it with a real one.

Pure.  Imports ``flow`` only: the simulation must not share code with the compiler of the rules that it
checks.
"""
