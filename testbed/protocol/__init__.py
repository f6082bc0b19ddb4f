"""What clients, edge servers and the master say to each other over TCP."""
