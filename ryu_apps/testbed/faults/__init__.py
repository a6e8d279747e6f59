"""Faults brought in from outside: what breaks channels, processes and disks, and what must not break with them."""
