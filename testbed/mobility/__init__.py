"""Where a user walks next: predictors and how good they are (section III.D)."""
