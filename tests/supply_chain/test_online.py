"""pip-audit as a subprocess: what is asked, what is made of the answer, and each way in which there is none."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from threatloop.supply_chain import online
from threatloop.supply_chain.dependencies.model import Dependency
from threatloop.supply_chain.result import Place

TORCH = Dependency("PyPI", "Torch", Place("requirements.txt", 1), version="1.0.0")
OLDER = Dependency("PyPI", "torch", Place("old.txt", 1), version="0.9")
OTHER = Dependency("npm", "left-pad", Place("bom.json", 1), version="1.0")


def _stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str) -> None:
    """A program in pip-audit's place; it finds the requirements file in ``asked``."""
    script = tmp_path / "stand_in.py"
    script.write_text(f"import json, sys, time\nasked = open(sys.argv[2]).read().split()\n{body}\n", encoding="utf-8")
    monkeypatch.setattr(online, "_command", lambda: [sys.executable, str(script)])


def test_findings_of_each_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    row = {"vulns": [{"id": "PYSEC-1", "fix_versions": ["2.0"], "aliases": ["CVE-1"], "description": "Bad."}]}
    body = (
        f"pins = [one.split('==') for one in asked]\nrow = {json.dumps(row)}\n"
        "rows = [dict(row, name=name, version=version) for name, version in pins]\n"
        "print(json.dumps({'dependencies': rows}))\nsys.exit(1)"
    )
    _stand_in(monkeypatch, tmp_path, body)
    found = online.match_online([TORCH, OLDER, OTHER])
    assert sorted((str(one.place), one.subject, one.identifiers, one.fix) for one in found.findings) == [
        ("old.txt:1", "torch==0.9", ("CVE-1", "PYSEC-1"), "upgrade to 2.0 or later"),
        ("requirements.txt:1", "Torch==1.0.0", ("CVE-1", "PYSEC-1"), "upgrade to 2.0 or later"),
    ]
    assert [one.reason for one in found.skipped] == ["left-pad==1.0: online only exact versions of PyPI are compared"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("sys.exit('no network')", "pip-audit failed or is offline (no network)"),
        ("print('[]')", "pip-audit failed or is offline (exit status 0)"),
        ("print('{\"dependencies\": []}')", "pip-audit did not mention it"),
        (
            'print(\'{"dependencies": [3, {"name": "torch", "skip_reason": "unknown"}]}\')',
            "not compared online: unknown",
        ),
        ("time.sleep(20)", "no answer within 1 s"),
    ],
)
def test_no_answer_is_one_clear_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str, reason: str) -> None:
    _stand_in(monkeypatch, tmp_path, body)
    found = online.match_online([TORCH], timeout_s=1.0 if "sleep" in body else 30.0)
    assert not found.findings
    assert len(found.skipped) == 1
    assert reason in found.skipped[0].reason


def test_a_missing_pip_audit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online, "_command", lambda: None)
    [only] = online.match_online([TORCH]).skipped
    assert only.reason == "1 packages were not compared online: pip-audit is not installed: pip install pip-audit"
    assert online.match_online([]).skipped == ()
