"""evbridge.yaml: the switches, the role of each port, and the paths of the policies.

In the form of FAUCET's configuration (``dps``, ``dp_id``, ``interfaces``) with OpenFlow port numbers.
``schema`` has the keys, ``reading`` checks and converts a text, ``consistency`` compares its parts,
``writing`` is the inverse of ``reading``; ``balancers`` and ``managers`` do the same for their sections.

Pure: text in, values or diagnostics out.  Callers read the file and the policies that it names.
"""

from ryu_apps.evb.config.bridge_config import BridgeConfig
from ryu_apps.evb.config.reading import load_config
from ryu_apps.evb.config.writing import dump_config

__all__ = ["BridgeConfig", "dump_config", "load_config"]
