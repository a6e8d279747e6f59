"""The catalogue of log events: one class for each kind of event of the log, ``/evb/events``, alarms and metrics.

``base`` is the common base and the row of the catalogue that each class has, ``values`` the JSON form of its fields.
``bridge``, ``switches``, ``ports`` and ``vsis`` are the classes, by their subject; ``catalogue`` finds a class by its
kind, and reads an event from its JSON form.  The table of the manual is made from the classes and their docstrings.

May use values of ``wire``, ``topology`` and ``model``.  No log, no clock: ``ryu_apps.event_log`` writes the lines.
"""
