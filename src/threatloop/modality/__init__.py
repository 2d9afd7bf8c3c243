"""What records of one kind can do: bounds, encode, perturb, distance, triggers."""
