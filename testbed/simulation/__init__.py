"""The engine that computes in virtual time what the emulator measures on sockets."""
