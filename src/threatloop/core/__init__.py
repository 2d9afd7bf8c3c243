"""The vocabulary: assets, access, attacks, defences, metrics, measurements, errors, digests and random streams."""
