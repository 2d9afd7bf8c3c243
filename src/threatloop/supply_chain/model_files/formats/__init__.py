"""One file for each format that is no archive and no pickle."""
