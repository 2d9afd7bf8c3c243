"""From tasks to artefacts: keys, store, operations, backends, run folder."""
