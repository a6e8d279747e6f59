"""OpenFlow 1.3 towards the switches: connections, and the messages on them.

``server``, ``reception`` and ``channel`` take connections in place of Ryu's server; ``session`` and ``driver`` turn
commands of the core into jobs (``changes``, ``questions``) and answers into events.  ``encode``, ``decode``, ``oxm``,
``nicira`` and ``learn`` write and read the octets.  ``watch`` reports changes that other controllers make.

The only package that imports OpenFlow.  May use rules, pipeline and events of the core; decides nothing about VSIs.
"""
