"""Dependencies as manifests, locks, bills of materials and the environment state them: a file per format, none run."""
