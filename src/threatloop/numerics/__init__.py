"""Pure functions on arrays: ROC, intervals, tests, transforms, projections."""
