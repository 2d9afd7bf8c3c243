"""Chat templates: parsed, never rendered."""
