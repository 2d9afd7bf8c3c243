"""Model to data: training records, or facts about them, from a model."""
