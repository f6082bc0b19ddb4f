"""What this machine can carry: the doctor's findings, the estimate, and the compute mode."""
