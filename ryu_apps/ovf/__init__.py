"""OVF packages (DSP0243) with network port profiles (DSP8049), read and written.

``markup`` reads and writes XML within limits, ``names`` has the namespaces, ``properties`` and ``values`` read CIM
properties, ``port``, ``profile``, ``filters`` and ``envelope`` read the elements.  ``collect`` and ``writer`` make a
descriptor of policies; ``policy_file``, ``policy_text`` and ``instances`` make evbridge's own files.

Pure: texts in, values and diagnostics out; the caller passes a function that reads files.  Imports policies and
addresses of the core.
"""
