"""The command line ``evbridge``: a module for each subcommand.

``start`` is the entry point, ``main`` the group of commands.  ``check``, ``ovf``, ``topology`` and ``run`` serve the
operator of a controller, ``vcm`` the cluster manager; ``replay``, ``matrix``, ``demo`` and ``stage`` run the testbed.

Reads files, prints results and sets the exit status.  May import every package but the Ryu apps.
"""
