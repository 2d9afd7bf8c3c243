"""The threat knowledge graph: what can happen to a system over its lifecycle, and which of it was measured."""
