"""The shipped catalogue of threats: reviewed YAML files beside this one, and `references.yaml` for what they cite."""

from threatloop.threats.catalogue.as_graph import catalogue_graph
from threatloop.threats.catalogue.load import by_attack, check_atlas, read, threat, threats

__all__ = ["by_attack", "catalogue_graph", "check_atlas", "read", "threat", "threats"]
