"""A network-emulation testbed for PerDNN: DNN offloading to edge servers at Wi-Fi access points."""

__version__ = "0.1.0"
