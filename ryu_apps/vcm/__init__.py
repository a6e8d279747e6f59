"""A VM cluster manager as a library: who is where, where to go, in which order, and how to get there and back.

Pure: no socket, no file, no clock.  ``inventory`` and ``placement`` are values and functions, ``move`` and
``orchestrator`` take events and return what is to be done; whoever has hypervisors does it and says how it went.
"""
