"""What a model is: its layers, their times, where they run and in which order they travel."""
