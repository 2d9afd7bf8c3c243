"""Which vulnerabilities and dependencies matter most, how concentrated they are, and how fast patches spread."""
