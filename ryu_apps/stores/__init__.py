"""Stores of the bridge's state: an SQLite database, servers that several bridges share, or memory.

``opening`` chooses one.  ``sqlite`` writes one file in the state directory, ``lock`` keeps a second controller from the
file, ``ovsdb`` is the client of the servers, ``memory`` is for a bridge without a state directory.  ``embedded`` is
what the stores in the process have in common.

Implements the interface of ``evb.store``, which defines the records; imports nothing else.
"""
