"""Where layers run, in which order they travel, what a query takes meanwhile (section III.C)."""
