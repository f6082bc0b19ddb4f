"""The engine that runs on real namespaces, sockets and switches."""
