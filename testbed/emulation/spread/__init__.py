"""A run on several machines: who has what, over SSH and tunnels."""
