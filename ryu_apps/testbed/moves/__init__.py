"""Moves of VMs on a real cluster: the steps of ``ryu_apps.vcm`` carried out, and what is observed meanwhile.

``ryu_apps.vcm.move`` decides which step is next; ``executor`` carries it out, one attempt (``attempt``) for each VM
and destination.  ``observers`` see every step before and after it: evidence for figures and ladder diagrams, and the
frames that are injected at the staged port.  ``single`` drives the move of one VM without an orchestrator.

May use ``harness``, ``ladder``, ``flow_dumps`` and ``ryu_apps.vcm``; computes no figures.
"""
