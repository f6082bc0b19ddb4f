"""What an edge server's accelerator does under load: statistics, contention, execution times."""
