"""What a scan is written as: a terminal's tables, JSON, SARIF, CycloneDX and HTML. All texts are untrusted."""
