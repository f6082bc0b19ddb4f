"""A synthetic campus: a self-similar least-action walk, as GPS sees it."""
