"""What the third-party scanners say of whole files, as someone who uses them alone would have it.

Run as a program it is the process that asks them, which sees nothing else of what is installed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from threatloop.supply_chain.model_files.opinions.ask import scanners_alone

SCANNERS = ("fickling", "modelaudit-picklescan")


def verdicts(paths: Sequence[Path]) -> dict[str, dict[str, bool]]:
    """By scanner and path, whether it objects. What a scanner cannot read it does not object to."""
    with tempfile.TemporaryDirectory() as folder:
        path = scanners_alone(folder)
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, json.dumps(path)],
            input=json.dumps([str(path) for path in paths]),
            capture_output=True,
            text=True,
            check=True,
        )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def modelaudit(executable: Path, folder: Path, paths: Sequence[Path]) -> dict[str, bool]:
    """By path, whether all of modelaudit objects; it is told to send nothing, and asked once about the folder."""
    environment = {"PATH": os.defpath, "HOME": str(folder), "PROMPTFOO_DISABLE_TELEMETRY": "1", "NO_ANALYTICS": "1"}
    done = subprocess.run(
        [str(executable), "scan", "--format", "json", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    issues = json.loads(done.stdout[done.stdout.index("{") :])["issues"]
    bad = [str(issue["location"]) for issue in issues if issue["severity"] in ("warning", "critical")]
    return {str(path): any(place.startswith(str(path)) for place in bad) for path in paths}


def intervals(counts: Mapping[str, tuple[int, int]]) -> dict[str, str]:
    """Counts of hits and of cases as text, each with its Clopper-Pearson interval of 95 %."""
    from scipy.stats import binomtest

    told = {}
    for name, (hits, cases) in counts.items():
        interval = binomtest(hits, cases).proportion_ci(0.95, "exact")
        told[name] = f"{hits}/{cases} = {hits / cases:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
    return told


_PROGRAM = r"""
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from fickling.analysis import Severity
from fickling.loader import scan_file, scan_zip_archive
from modelaudit_picklescan import PickleScanner, SafetyVerdict, ScanOptions

scanner = PickleScanner(options=ScanOptions(timeout_s=20))
scanner.scan_bytes(b"N.")
paths = json.load(sys.stdin)

def by_fickling(path):
    with open(path, "rb") as file:
        packed = file.read(4) == b"PK\x03\x04"
    reports = list(scan_zip_archive(path, graceful=True).values()) if packed else [scan_file(path, graceful=True)]
    return any(result.severity > Severity.LIKELY_SAFE for report in reports for result in report.results)

def by_picklescan(path):
    return scanner.scan_file(path).verdict in (SafetyVerdict.SUSPICIOUS, SafetyVerdict.MALICIOUS)

def ask(judge):
    found = {}
    for path in paths:
        try:
            found[path] = bool(judge(path))
        except Exception:
            found[path] = False
    return found

fickling = ask(by_fickling)
sys.path.clear()
print(json.dumps({"fickling": fickling, "modelaudit-picklescan": ask(by_picklescan)}))
"""
