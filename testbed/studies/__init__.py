"""What the paper's experiments share: loading people, splits, running, tabulating, keeping."""
