"""Several bridges with one store: which of them leads, and what the others know.

``lease`` has the records, ``election`` the machine that takes, keeps and gives up the lease, ``members`` how far
the standbys are, ``status`` what REST and metrics show.

Knows of no switch and no VSI: who leads serves them, see ``evb.bridge.fencing``.
"""
