"""Stateful firewall of a VSI type.

``schema`` is its section of a policy file, ``service`` has the rules that look connections up, judge new ones
and note them, and ``connections`` the rules that a switch learns for a connection.  The room may import
neither another service nor a switch.
"""
