"""Test worlds: deterministic environments around parts of the product, on a fake clock.

``bridge`` runs the engine with simulated switches and hand-made stations; ``rest`` adds the REST
interface, ``managers`` VSI managers over HTTP, ``counting`` traffic and its counters, ``multicast``
multicast frames and ``simulated_tcp`` TCP segments.  ``vcm`` runs an orchestrator with simulated
hypervisors, ``faulty_store`` delays and repeats notifications of a store, ``effort`` counts calls, and
``associate_path`` those of an Associate.

A world does not decide what is right: it moves time and frames, and tests compare what it records.
"""
