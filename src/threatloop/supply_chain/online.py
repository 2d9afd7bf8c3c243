"""Advisories from the network: pip-audit's services, through its command line; without it or them, one clear reason."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from packaging.version import Version

from threatloop.supply_chain.dependencies.model import Dependency, Reading
from threatloop.supply_chain.matching import RULE, THREAT, main_id
from threatloop.supply_chain.ranges import is_pep440
from threatloop.supply_chain.result import Finding, Place, Result, Severity
from threatloop.threats.ontology import Stage

SERVICES: Final = ("pypi", "osv")
_PLACE: Final = Place("pip-audit")


def match_online(dependencies: Iterable[Dependency], service: str = "osv", timeout_s: float = 300.0) -> Result:
    """The findings of pip-audit for all dependencies of PyPI with an exact version.

    Names and versions leave this machine; nothing else does, and nothing is installed.

    Args:
        dependencies: others than those of PyPI with an exact version are skipped with a reason.
        service: one of SERVICES.
        timeout_s: for each call of pip-audit, seconds; one call for every version that a package has.
    """
    reading = Reading()
    asked: dict[tuple[str, str], list[Dependency]] = {}
    for one in dict.fromkeys(dependencies):
        if one.ecosystem == "PyPI" and one.version and is_pep440(one.version):
            asked.setdefault((one.key[1], str(Version(one.version))), []).append(one)
        else:
            reading.skip(
                one.place.path, one.place.line, f"{one.shown}: online only exact versions of PyPI are compared"
            )
    for pins in _rounds(asked):
        answer = _asked(pins, service, timeout_s)
        if isinstance(answer, str):
            reading.skip(_PLACE.path, None, f"{len(pins)} packages were not compared online: {answer}")
        else:
            _take(answer, {pin: asked[pin] for pin in pins}, reading)
    return reading.result()


def _rounds(pins: Iterable[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Pins such that none has a package twice, which pip-audit refuses."""
    found: list[list[tuple[str, str]]] = []
    seen: Counter[str] = Counter()
    for name, version in sorted(pins):
        if seen[name] == len(found):
            found.append([])
        found[seen[name]].append((name, version))
        seen[name] += 1
    return found


def _command() -> list[str] | None:
    beside = Path(sys.executable).with_name("pip-audit.exe" if os.name == "nt" else "pip-audit")
    found = str(beside) if beside.exists() else shutil.which("pip-audit")
    return [found] if found else None


def _asked(pins: Sequence[tuple[str, str]], service: str, timeout_s: float) -> list[Any] | str:
    """pip-audit's dependencies, or in one line why there is no answer."""
    command = _command()
    if command is None:
        return "pip-audit is not installed: pip install pip-audit"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text("".join(f"{name}=={version}\n" for name, version in pins), encoding="utf-8")
        options = [
            "-r",
            str(file),
            "--no-deps",
            "--disable-pip",
            "-s",
            service,
            "-f",
            "json",
            "--progress-spinner",
            "off",
        ]
        try:
            done = subprocess.run(
                [*command, *options], capture_output=True, timeout=timeout_s, check=False, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired:
            return f"pip-audit gave no answer within {timeout_s:g} s"
        except OSError as error:
            return f"pip-audit cannot be started ({error.strerror or error})"
    try:
        answer = json.loads(done.stdout)
        return list(answer["dependencies"])
    except (ValueError, KeyError, TypeError, RecursionError):
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        return f"pip-audit failed or is offline ({said[-1][:200] if said else f'exit status {done.returncode}'})"


def _take(answer: list[Any], asked: dict[tuple[str, str], list[Dependency]], reading: Reading) -> None:
    waiting = dict(asked)
    rows = [row for row in answer if isinstance(row, dict)]
    for row in rows:
        found = waiting.pop((str(row.get("name")), str(row.get("version"))), None)
        if found is None or not isinstance(row.get("vulns"), list):
            continue
        reading.findings += (_finding(one, vuln) for one in found for vuln in row["vulns"] if isinstance(vuln, dict))
    reasons = {str(row.get("name")): str(row["skip_reason"]) for row in rows if "skip_reason" in row}
    for (name, _), found in waiting.items():
        for one in found:
            reason = reasons.get(name, "pip-audit did not mention it")
            reading.skip(one.place.path, one.place.line, f"{one.shown}: not compared online: {reason[:200]}")


def _finding(one: Dependency, vuln: dict[str, Any]) -> Finding:
    ids = sorted({str(vuln.get("id")), *map(str, vuln.get("aliases") or ())})
    fixed = [str(version) for version in vuln.get("fix_versions") or ()]
    summary = " ".join(str(vuln.get("description") or "").split())[:140]
    return Finding(
        rule=RULE,
        severity=Severity.UNKNOWN,
        title=f"{one.shown} has {main_id(ids)}: {summary or 'no summary'}",
        place=one.place,
        threat=THREAT,
        direction=None,
        stage=Stage.SYSTEM_DEVELOPMENT,
        detail="Severity: pip-audit gives none." + (f"\nFixed in {', '.join(fixed[:8])}." if fixed else ""),
        fix=f"upgrade to {fixed[0]} or later" if fixed else "no fixed version is known: replace the package",
        subject=one.shown,
        identifiers=tuple(ids),
        scanner="pip-audit",
    )
