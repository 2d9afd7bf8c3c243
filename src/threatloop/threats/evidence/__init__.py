"""From documents to reviewed edges: read, find passages, map them to ATLAS, queue, review."""
