"""Defences that act on data before training."""
