"""Pods: clusters of evbridges of their own, each with its own switches and store, between which VMs move.

A directory that all pods share has the *owner* of each active VSI (``owner``, ``directory``).  ``claim`` is the table
by which a pod becomes the owner, before it opens a gate.
"""
