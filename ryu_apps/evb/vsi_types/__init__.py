"""VSI types: policies of the local directory and of VSI managers (802.1Q clause 41).

``managers`` maps a Manager ID to a source of types, ``database`` obtains and keeps the types that
stations name, ``cache`` bounds the types that were fetched and encodes their records.

The package may use ``policy``, the records of ``vsi`` and ``deadlines``.  It opens no connection: it emits
``FetchType``, and the driver returns the document.
"""
