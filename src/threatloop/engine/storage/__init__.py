"""The content-addressed store: one artefact per key, payload first, manifest last."""
