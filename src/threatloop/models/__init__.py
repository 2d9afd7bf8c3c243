"""Networks, their encoders and their weights."""
