"""The shipped catalogue of threats: reviewed YAML files beside this one, and `references.yaml` for what they cite.

A new threat goes into the file that its subject names, in our own words, with the fields of
`threatloop.threats.threat.Threat`. A new attack is named by the threat that it measures (``measured_by``), with its
baseline and control (``controls``); where an attack alone does not show the threat, say why (``not_measurable``).
"""

from threatloop.threats.catalogue.as_graph import catalogue_graph
from threatloop.threats.catalogue.load import by_attack, check_atlas, read, threat, threats

__all__ = ["by_attack", "catalogue_graph", "check_atlas", "read", "threat", "threats"]
