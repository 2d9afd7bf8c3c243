"""Readers of outside sources into the graph; each reports every problem of a file at once."""
