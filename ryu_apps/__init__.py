"""evbridge, the only package of the product: bridge side of IEEE 802.1Qbg as Ryu apps for Open vSwitch.

``evb``, ``station``, ``vcm`` and ``ovf`` are pure: no Ryu, no socket, no file, no clock.  Ryu apps are ``evb_bridge``,
which carries out what ``evb`` decides, and ``evb_rest``.  ``southbound``, ``stores``, ``rest`` and ``listening`` have
the input and output, ``testbed`` builds clusters of network namespaces, and ``cli`` is the command ``evbridge``.

``.importlinter`` has a row for each package; no package may import a Ryu app.
"""
