"""Multicast groups that a VM receives.

``schema`` is its section of a policy file, ``service`` has the copies of membership reports for the snooper,
and their rate limits.  The room may import neither another service nor a switch.
"""
