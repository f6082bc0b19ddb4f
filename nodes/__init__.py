"""The processes of a run: client, edge server, master, and the nursery that forks them."""
