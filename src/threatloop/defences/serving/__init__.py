"""Defences of the serving stage."""
