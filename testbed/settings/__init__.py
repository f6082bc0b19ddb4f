"""The settings of an experiment: stated once, read from options and files, shown in --help."""
