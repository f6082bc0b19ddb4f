"""The networks: the paper's three, those that were published, and any factory of a user's."""
