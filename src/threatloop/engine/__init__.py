"""From tasks to artefacts: keys, store, backends, run folder."""
