"""Out of the graph: formats of other tools, and pages for people."""

from threatloop.threats.exporters.export import FORMATS, export

__all__ = ["FORMATS", "export"]
