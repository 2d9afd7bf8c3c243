"""The code pass: reads Python and notebooks as syntax trees, never runs them, and says where the attack surface is."""
