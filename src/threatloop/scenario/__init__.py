"""The spec file, its checks, and its expansion into tasks."""
