"""Who executes and who gets which layers: predict, plan, choose; what servers hold, how long."""
