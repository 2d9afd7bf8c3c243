"""Data to data: protected data in, unprotected data out."""
