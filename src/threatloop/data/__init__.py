"""Readers: from what a user has to a Dataset."""
