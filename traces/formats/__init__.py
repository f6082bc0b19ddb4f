"""The formats that traces come in, and finding out which one a file has."""
