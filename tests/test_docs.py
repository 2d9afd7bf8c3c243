"""What README and CONTRIBUTING say is true: commands parse, specs build, worked examples run."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import threatloop
from threatloop.cli.reference import page, prose
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.attack import DataToModel
from threatloop.core.bench import Bench
from threatloop.core.catalogue import ATTACKS, METRICS
from threatloop.core.metric import Case
from threatloop.core.recipe import Recipe
from threatloop.core.schema import TabularSchema
from threatloop.core.seeds import Streams
from threatloop.scenario.build import build, parse_spec

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
LANGUAGE = (ROOT / "docs" / "llm.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
STREAMS = Streams(5)


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def example(tmp_path: Path, contains: str) -> ModuleType:
    """The worked example with this text, imported from a file as a contributor would have it."""
    (code,) = [block for block in blocks(CONTRIBUTING, "python") if contains in block]
    path = tmp_path / "worked_example.py"
    path.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("worked_example", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def table(tmp_path: Path) -> Dataset:
    """300 rows of 4 numbers in 3 classes, read by the worked example of a reader."""
    rng = np.random.default_rng(0)
    y = np.arange(300) % 3
    rows = np.column_stack([rng.normal(size=(300, 4)) + 3 * np.eye(4)[y], y])
    np.save(tmp_path / "rows.npy", rows)
    source = example(tmp_path, "class Matrix").Matrix(matrix="rows.npy")
    loaded = source.read(tmp_path).dataset
    assert isinstance(loaded, Dataset)
    np.testing.assert_array_equal(loaded.y, y)
    return loaded


def test_readme_has_one_line_for_each_set_up() -> None:
    lines = [line for block in blocks(README, "sh") for line in block.splitlines()]
    assert [line for line in lines if "threatloop audit" in line] == [
        "pip install -c constraints.txt . && threatloop audit"
    ]
    assert [line for line in lines if line.endswith("pytest")] == [
        "pip install -c constraints.txt -e '.[test]' && pytest"
    ]


SPECS = {
    f"README-{i}": text
    for i, text in enumerate(blocks(README, "yaml") + blocks(TUTORIAL, "yaml") + blocks(LANGUAGE, "yaml"))
} | {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "examples").glob("*.yaml"))}


@pytest.mark.parametrize("name", SPECS)
def test_every_spec_that_is_shown_builds(name: str) -> None:
    audit = build(parse_spec(SPECS[name], name), ROOT, allow_code=True)
    assert len(audit.scenarios) == len(audit.spec.scenarios) >= 1


def test_the_reference_of_attacks_is_current() -> None:
    shown = (ROOT / "docs" / "attacks.md").read_text(encoding="utf-8")
    assert shown == page(), "docs/attacks.md is old: run threatloop catalogue --markdown > docs/attacks.md"


def test_links_inside_the_reference_lead_to_headings() -> None:
    shown = page()
    headings = [line.lstrip("# ") for line in shown.splitlines() if line.startswith("#### ")]
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    links = re.findall(r"\]\(#([^)]+)\)", shown)
    assert len(links) == len(set(links)) == len(ATTACKS.names())
    assert set(links) <= anchors


def test_docstrings_become_markdown() -> None:
    text = "Does it.\n\nThreat model: he knows ``x``.\n\nAttributes:\n"
    text += "    a, b: two\n        lines.\n    c: one.\nPaper: A 2020."
    assert prose(text).splitlines() == [
        *("Does it.", "", "**Threat model:** he knows `x`.", "", "**Parameters**", ""),
        *("- `a`, `b`: two", "  lines.", "- `c`: one.", "", "**Paper:** A 2020."),
    ]


def test_readme_python_names_what_exists() -> None:
    (code,) = blocks(README, "python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 6
    compile(code, "README", "exec")
    fields = set(re.findall(r"result\.(\w+)", code))
    assert fields <= set(dir(threatloop.Result)) | set(threatloop.Result.__dataclass_fields__)


def test_worked_attack(tmp_path: Path, table: Dataset) -> None:
    attack = example(tmp_path, "class OneClassFlip").OneClassFlip(rate=0.5, target=2)
    assert isinstance(attack, DataToModel)
    assert attack.info.baseline in ATTACKS.names()
    assert set(attack.info.metrics) <= set(METRICS.names())
    crafted = attack.run(table, Bench(STREAMS)).result
    changed = crafted.y != table.y
    assert (crafted.y[changed] == 2).all()
    # Half of the 300 rows are drawn; a third of those had the label already.
    assert 80 <= changed.sum() <= 120
    np.testing.assert_array_equal(crafted.x, table.x)


def test_worked_defence(tmp_path: Path, table: Dataset) -> None:
    from threatloop.algorithms.training import RecipeTraining

    loss_filter = example(tmp_path, "class LossFilter").LossFilter(share=0.3)
    flipped, trusted = np.arange(300) % 5 == 0, np.arange(300) < 150
    poisoned = table.with_y(np.where(flipped & ~trusted, (table.y + 1) % 3, table.y))
    training = RecipeTraining(Architecture(name="mlp"), Recipe(epochs=8))
    kept = loss_filter.keep(poisoned, trusted, training, STREAMS)
    assert kept[trusted].all()
    assert (~kept).sum() == 45
    assert not kept[flipped & ~trusted].any()


def test_worked_metric(tmp_path: Path, table: Dataset) -> None:
    from threatloop.algorithms.training import RecipeTraining

    metric = example(tmp_path, "class WorstClassAccuracy").WorstClassAccuracy()
    model = RecipeTraining(Architecture(name="mlp"), Recipe(epochs=8)).fit(table, STREAMS)
    assert isinstance(model, Model)
    wrong = table.with_y(np.where((table.y == 1) & (np.arange(300) % 2 == 0), 0, table.y))
    (reading,) = metric.grade(Case({"outcome": model, "test": wrong}, metric, STREAMS)).readings
    # Half of class 1 was relabelled as 0, which makes a third of the 150 records of class 0 wrong.
    assert reading.n == 150
    assert reading.value == pytest.approx(2 / 3, abs=0.05)


def test_worked_reader(table: Dataset) -> None:
    assert isinstance(table.schema, TabularSchema)
    assert table.schema.classes == ("0", "1", "2")
    assert table.x.shape == (300, 4)
