"""The namespaces that a run lives in, and the processes in them."""
