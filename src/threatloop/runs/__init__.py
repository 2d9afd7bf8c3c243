"""The run folder: what a run leaves behind, and all that analyses and reports read."""
