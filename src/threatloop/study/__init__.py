"""Studies of interactions: seeds spent in two stages, and what they cost."""
