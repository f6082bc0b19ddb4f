"""What a run leaves: its folder, tables, rows and manifest; several runs, one after the other."""
