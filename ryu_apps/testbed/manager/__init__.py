"""The cluster manager's hands: ``ryu_apps.vcm`` decides, this package does it on a Mininet cluster and measures it."""
