"""``evbridge lab``: a cluster that is kept up, a prompt whose verbs are those of VDP, and worksheets with a checker.

``verbs`` reads lines, ``rules`` says what a table of rules has and what has changed, ``bench`` is the cluster with its
VMs, ``stepping`` stops a move at every rung of its ladder, ``prompt`` puts them together.  ``notebook`` records what
was done and seen; ``worksheet`` computes answers from it, ``bodies`` and ``ladders`` are the questions.

May use ``harness``, ``moves`` and ``flow_dumps``; commands of ``evbridge`` reach the prompt as functions.
"""
