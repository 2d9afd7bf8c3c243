"""``threats ingest`` and ``threats review`` from the outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from evidence_world import POISON, STEAL, TECHNIQUES, corpus, embed, player
from scripted_chat import scripted
from threatloop.cli import threat_embedder
from threatloop.cli.threats import threats_app
from threatloop.core.errors import InputError
from threatloop.threats.graph_file import load_graph
from threatloop.threats.ontology import Evidence

pytest.importorskip("bm25s")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a release, two documents and no sentence encoder, to work in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(threat_embedder, "sentence_embedder", lambda: (None, "words alone decide: no encoder"))
    (tmp_path / "ATLAS.yaml").write_text(yaml.safe_dump(release()))
    (tmp_path / "a.md").write_text(f"# [bold]First[/]\n\n{POISON}\n")
    (tmp_path / "b.md").write_text(f"# Second\n\n{STEAL}\n")
    return tmp_path


def release() -> dict[str, Any]:
    tactic = {"id": "AML.TA0000", "name": "All"}
    techniques = [
        {"id": id_, "name": name, "description": text, "tactics": ["AML.TA0000"]}
        for id_, (name, text) in TECHNIQUES.items()
    ]
    steps: dict[str, list[dict[str, str]]] = {}
    for one in corpus(12).examples:
        step = {"tactic": "AML.TA0000", "technique": one.technique, "description": one.text}
        steps.setdefault(one.study, []).append(step)
    studies = [{"id": id_, "name": id_, "procedure": procedure} for id_, procedure in steps.items()]
    matrix = {"tactics": [tactic], "techniques": techniques, "mitigations": []}
    return {"id": "ATLAS", "version": "0.0.1", "matrices": [matrix], "case-studies": studies}


def call(*arguments: str, status: int = 0) -> str:
    found = CliRunner().invoke(threats_app, list(arguments), catch_exceptions=False)
    assert found.exit_code == status, found.output
    return found.stdout if "--json" in arguments else found.output


def test_from_documents_to_the_graph(place: Path) -> None:
    said = call("ingest", "a.md", "b.md", "--atlas", "ATLAS.yaml")
    assert "words alone decide" in said
    assert "2 proposals by retrieval from 2 documents read to the end" in said
    assert "[bold]First[/]" in said
    assert POISON[:40] in said
    listed = json.loads(call("review", "--json"))
    first, second = listed["open"]
    assert first["passage"]["text"] == POISON
    assert "2 open of 2 proposals" in call("review")
    said = call("review", "--accept", first["id"], "--reject", second["id"], "--graph", "g.parquet")
    assert "1 accepted, 1 rejected, 0 open" in said
    (edge,) = (one for one in load_graph(place / "g.parquet").edges() if one.evidence is Evidence.EXTRACTED)
    assert edge.target == "AML.T0020"
    assert POISON in edge.provenance
    assert json.loads(call("review", "--json"))["open"] == []
    assert "0 proposals" in call("ingest", "a.md", "b.md", "--atlas", "ATLAS.yaml")


@pytest.mark.usefixtures("place")
def test_techniques_of_the_graph_serve_without_a_release() -> None:
    call("import", "--atlas", "ATLAS.yaml", "--out", "g.parquet")
    said = json.loads(call("ingest", "b.md", "--graph", "g.parquet", "--queue", "other.jsonl", "--json"))
    assert said["read"] == ["b.md"]
    with pytest.raises(InputError, match="nothing to map to"):
        call("ingest", "a.md")


def test_with_a_model(place: Path) -> None:
    with scripted(player([POISON, STEAL])) as server:
        said = call("ingest", "a.md", "--atlas", "ATLAS.yaml", "--llm", server.url, "--llm-model", "m")
    assert "the model says: Attack 0" in said
    assert "by model m" in said
    call("review", "--accept-all", "--graph", "g.parquet")
    assert "threat:attack-0" in load_graph(place / "g.parquet")


def test_what_fails_is_said_and_the_status_is_2(place: Path) -> None:
    (place / "none.pdf").write_bytes(b"%PDF-1.4 nothing")
    said = call("ingest", "none.pdf", "a.md", "--atlas", "ATLAS.yaml", status=2)
    assert "none.pdf: is no readable PDF" in said
    assert "1 proposal by retrieval" in said
    with scripted(lambda _: "no json") as server:
        said = call("ingest", "b.md", "--atlas", "ATLAS.yaml", "--llm", server.url, "--llm-model", "m", status=2)
    assert "not processed, because" in said
    assert "b.md: not processed, because" in " ".join(call("review").split())


def test_damaged_queue(place: Path) -> None:
    call("ingest", "a.md", "--atlas", "ATLAS.yaml")
    path = place / "threat-queue.jsonl"
    path.write_bytes(path.read_bytes() + b"{half\n")
    assert "is no entry of a queue" in call("review", status=2)
    path.write_bytes(b"{half\n" + path.read_bytes())
    with pytest.raises(InputError, match="is no queue of proposals"):
        call("review")


def test_bad_requests(place: Path) -> None:
    for arguments, said in (
        (["review"], "there is no such queue"),
        (["ingest", "a.md", "--atlas", "a.md"], "a.md"),
        (["ingest", "a.md", "--atlas", "ATLAS.yaml", "--llm", "http://localhost:1"], "--llm-model"),
        (["ingest", "a.md", "--atlas", "ATLAS.yaml", "--llm", "localhost:1", "--llm-model", "m"], "http://"),
    ):
        with pytest.raises(InputError, match=said):
            call(*arguments)
    call("ingest", "a.md", "--atlas", "ATLAS.yaml")
    with pytest.raises(InputError, match="--graph FILE"):
        call("review", "--accept-all")
    assert len(json.loads(call("review", "--json"))["open"]) == 1
    assert not (place / "g.parquet").exists()


def test_vectors_of_a_release_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    from threatloop.algorithms import similarity

    calls = list[int]()

    def encoder(texts: list[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
        calls.append(len(texts))
        return np.ones((len(texts), threat_embedder.WIDTH))

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(similarity, "embeddings", encoder)
    embedder, note = threat_embedder.sentence_embedder()
    assert embedder is not None
    assert not note
    many = [str(i) for i in range(150)]
    assert np.array_equal(embedder(many), embedder(many))
    assert calls == [1, 150]
    (kept,) = (tmp_path / "threatloop" / "vectors").iterdir()
    kept.write_bytes(b"damaged")
    assert embedder(many).shape == (150, threat_embedder.WIDTH)
    assert embedder(many[:3]).shape == (3, threat_embedder.WIDTH)
    assert calls == [1, 150, 150, 3]


def test_without_the_encoder_words_decide() -> None:
    assert embed(["a b", "b a"]).shape == (2, 256)
    embedder, note = threat_embedder.sentence_embedder()
    assert (embedder is None) == bool(note)
    assert "\n" not in note
