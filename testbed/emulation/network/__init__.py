"""The emulated network: hosts, switches, links and the air."""
