"""What shows how far a run can be trusted: captures, counters, and how late the machine was."""
