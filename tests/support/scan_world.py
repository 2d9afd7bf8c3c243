"""A small repository with one of everything, and views of scans."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

from threatloop.core.step import Direction
from threatloop.supply_chain.baseline import Entry, apply
from threatloop.supply_chain.outputs.view import View
from threatloop.supply_chain.result import Failure, Finding, Place, Result, Severity, Skipped
from threatloop.supply_chain.scan import Options, Scan, scan
from threatloop.threats.ontology import Stage

LOADS = """\
import pickle
import torch
from transformers import AutoModel

AutoModel.from_pretrained("org/net")
torch.load("net.pt", weights_only=False)
pickle.load(open("a.pkl", "rb"))  # threatloop: accept pickle-load because we wrote it ourselves
"""
TODAY = date(2026, 6, 1)
NASTY = "<script>alert(1)</script> [bold]x[/bold] \u202e\x1b[31m"


def repository(folder: Path) -> Path:
    """Code with findings, a broken file, a model folder, a lock-less manifest and a virtual environment."""
    root = folder / "repo"
    for place, text in {
        "src/loads.py": LOADS,
        "src/broken.py": "def f(:\n",
        "src/old.py": "print 'x'\n",
        "requirements.txt": "torch==2.3.1\n",
        "README.md": "# a repository\n",
        ".git/config": "",
        "venv/pyvenv.cfg": "",
        "models/config.json": '{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}',
        "models/README.md": "---\nlicense: mit\npipeline_tag: text-generation\ndatasets: [org/data]\n---\n# card\n",
    }.items():
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (root / "models" / "model.safetensors").write_bytes(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")
    return root


def view_of(root: Path, entries: tuple[Entry, ...] = ()) -> View:
    """The scan of a folder without model scanners of third parties, seen after a baseline."""
    found = scan([root], Options())
    return seen(found, entries)


def seen(found: Scan, entries: tuple[Entry, ...] = ()) -> View:
    compared = apply(found.result, entries, "baseline.yaml", TODAY)
    after = Scan(
        compared.result, found.roots, found.dependencies, found.components, found.models, found.counts, found.others
    )
    when = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
    return View(after, when, "0.1.0", compared.expired, compared.stale, "baseline.yaml" if entries else "")


def finding(
    rule: str = "pickle-load", severity: Severity = Severity.HIGH, path: str = "a.py", subject: str = "x"
) -> Finding:
    return Finding(
        rule, severity, f"title of {rule}", Place(path, 3, 5), "threat:malicious-model-file", Direction.DATA_TO_MODEL,
        Stage.DEPLOYMENT, "a detail", "a fix", subject,
    )  # fmt: skip


def nasty_view() -> View:
    """A scan whose every text is hostile."""
    place = Place(f"a/{NASTY}.py", 1)
    bad = Finding(
        "pickle-load", Severity.CRITICAL, NASTY, place, "threat:malicious-model-file", None, Stage.DEPLOYMENT, NASTY,
        NASTY, NASTY, (NASTY,),
    )  # fmt: skip
    result = Result((bad,), (Failure(place, NASTY),), (Skipped(Place("b\udcff.py"), NASTY),))
    return seen(Scan(result, (Path(NASTY.replace("/", "_")),)))
