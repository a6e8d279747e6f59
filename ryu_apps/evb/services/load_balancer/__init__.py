"""Load balancers as seen by a VM: as a client and as a back end.

``schema`` is its section of a policy file, ``service`` has the rules for connections of clients.  The room
may import neither another service nor a switch.
"""
