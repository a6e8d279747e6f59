"""The core of the bridge: 802.1Q EVB and VDP, and the flow rules that follow VSIs.

``bridge.engine`` takes events and returns effects; each of the other packages is one subject, from
the octets of ``wire`` up to the decisions of ``bridge``.

Pure: no package below reads a clock, a file or a socket, and none imports Ryu, asyncio or
``southbound``.  Time comes with each event.  ``.importlinter`` has the permitted imports.
"""
