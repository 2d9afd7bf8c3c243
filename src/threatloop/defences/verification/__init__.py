"""Defences of the verification stage."""
