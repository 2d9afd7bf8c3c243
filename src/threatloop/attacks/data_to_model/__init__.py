"""Data to model: what the attacker puts into training."""
