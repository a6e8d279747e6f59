"""Stores of the bridge's state: an SQLite database, or memory.

``opening`` chooses one, ``embedded`` is what both have in common, ``sqlite`` writes one file in the state directory,
``lock`` keeps a second controller from the file, ``memory`` is for a bridge without a state directory.

Implements the interface of ``evb.store``, which defines the records; imports nothing else.
"""
