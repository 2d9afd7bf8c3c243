"""Defences of the monitor stage."""
