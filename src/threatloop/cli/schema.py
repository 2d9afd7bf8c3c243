"""``threatloop schema``."""

from __future__ import annotations

import json

from threatloop.scenario.json_schema import spec_schema


def run() -> int:
    """Print the JSON Schema of a spec."""
    print(json.dumps(spec_schema(), indent=1, ensure_ascii=False))
    return 0
