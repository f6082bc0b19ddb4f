"""Every figure, drawn from tables."""
