"""Pickles: followed opcode by opcode, never loaded."""
