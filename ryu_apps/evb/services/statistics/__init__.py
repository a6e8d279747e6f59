"""Statistics of a VSI: packets and octets, sent and received, in total and for each rule of the ACL.

``schema`` is its section of a policy file, ``service`` has the rules and meters that count, and ``entries``
the list of a VSI's counters.  The room may import neither another service nor a switch.
"""
