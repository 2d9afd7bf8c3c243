"""The defence catalogue; each folder carries its lifecycle stage."""
