"""How long layers take on a device: measured, read from its profile, or estimated."""
