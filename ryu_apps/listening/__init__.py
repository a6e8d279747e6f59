"""Listening for TCP and TLS connections, with limits on the resources of unauthenticated peers.

``sockets`` and ``listener`` open sockets that no other process can share, ``admission`` selects the connections that
stay, ``descriptors`` divides file descriptors between OpenFlow and REST, ``damper`` limits log lines and alarms.

Used by ``southbound`` and ``rest``.  Imports ``rate_limit``; contains no protocol.
"""
