"""Defences of the model stage."""
