"""Model to model: an equivalent model from queries."""
