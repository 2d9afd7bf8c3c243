"""Which defences to turn on together: measured sets, a model of those that were not measured, a search, advice."""
