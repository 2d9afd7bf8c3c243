"""Find the spec that a command means."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from threatloop.core.errors import InputError
from threatloop.scenario.build import Audit, build, parse_spec, read_spec


def load_audit(path: Path | None, seeds: int | None, allow_code: bool) -> Audit:
    """The checked spec at ``path``, or the one for the embedded data sets; ``seeds`` replaces its own.

    Raises:
        InputError, Problems: everything wrong with it.
    """
    if path is None:
        text = (resources.files("threatloop.scenario") / "default_spec.yaml").read_text(encoding="utf-8")
        spec, base, where = parse_spec(text, "the embedded spec"), Path.cwd(), "the embedded spec"
    else:
        spec, base, where = read_spec(path), path.absolute().parent, str(path)
    if seeds is not None:
        if seeds < 1:
            raise InputError(f"--seeds {seeds}: needs at least 1; verdicts need 12")
        spec = spec.model_copy(update={"seeds": seeds})
    return build(spec, base, allow_code=allow_code, where=where)
