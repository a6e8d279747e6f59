"""TCP ports of a VM behind a transparent proxy.

``schema`` is its section of a policy file, ``service`` has the rules that lead segments to the proxy and
back, and ``pins`` the rules that a switch learns for a connection.  The room may import neither another
service nor a switch.
"""
