"""Questions to a threat graph: search, paths, coverage, counts."""
