"""The attack catalogue; each folder carries its direction."""
