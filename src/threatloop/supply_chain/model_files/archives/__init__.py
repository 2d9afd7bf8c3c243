"""Archives and compressed streams, unpacked within limits."""
