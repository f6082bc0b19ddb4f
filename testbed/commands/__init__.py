"""The `testbed` command's subcommands: each module adds its arguments and does its work."""
