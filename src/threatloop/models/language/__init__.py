"""Language models: tokens, scores, writing, and base models with adapters."""
