"""Defences of the training stage."""
