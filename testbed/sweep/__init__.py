"""Parameter studies: many configurations of one experiment, repeated, resumed and summed up."""
