"""Reading the user's trained weights."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from threatloop.core.assets import Architecture
from threatloop.core.errors import InputError, Problems
from threatloop.core.schema import ImageSchema
from threatloop.models.build import build, load
from threatloop.models.weights import read_model

SCHEMA = ImageSchema(classes=("0", "1"), channels=1, height=8, width=8)
MLP = Architecture(name="mlp", mean=(0.5,), std=(0.25,))
State = dict[str, torch.Tensor]


@pytest.fixture
def state() -> State:
    """Weights as a user holds them: of the bare network."""
    return build(MLP, SCHEMA, torch.Generator().manual_seed(5)).body.state_dict()


SAVERS: dict[str, Callable[[State, Path], object]] = {
    "w.safetensors": save_file,
    "w.pt": torch.save,
    "w.pth": lambda state, path: torch.save({"state_dict": state, "epoch": 3}, path),
    "parallel.pt": lambda state, path: torch.save({f"module.{k}": v for k, v in state.items()}, path),
    "body.pt": lambda state, path: torch.save({f"body.{k}": v for k, v in state.items()}, path),
    "double.pt": lambda state, path: torch.save({k: v.double() for k, v in state.items()}, path),
}


@pytest.mark.parametrize("name", SAVERS)
def test_every_layout_gives_the_same_model(name: str, state: State, tmp_path: Path) -> None:
    SAVERS[name](state, tmp_path / name)
    model = read_model(tmp_path / name, MLP, SCHEMA)
    x = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    hidden = ((x - 0.5) / 0.25).flatten(1)
    for layer in range(3):
        hidden = hidden @ state[f"layers.{layer}.weight"].T + state[f"layers.{layer}.bias"]
        hidden = hidden.relu() if layer < 2 else hidden
    torch.testing.assert_close(load(model)(x), hidden)


class Code:
    """Unpickles to a call."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("this must never run",))


@pytest.mark.parametrize(
    "save", [lambda p: p.write_bytes(pickle.dumps(Code(), protocol=2)), lambda p: torch.save(Code(), p)]
)
def test_a_pickle_with_code_is_refused_unrun(
    save: Callable[[Path], object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.pt"
    save(path)
    with pytest.raises(InputError, match="a pickle where weights are expected") as caught:
        read_model(path, MLP, SCHEMA)
    assert "\n" not in str(caught.value)
    assert "never run" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("w.safetensors", b"nonsense", "not a readable safetensors file"),
        ("w.pt", b"", "not a readable state dict"),
        ("w.onnx", b"", "neither .safetensors nor .pt"),
        (None, b"", "no file"),
    ],
)
def test_unreadable_files_get_one_line(name: str | None, content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / (name or "absent.pt")
    if name:
        path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_model(path, MLP, SCHEMA)
    assert "\n" not in str(caught.value)


def test_a_tensor_or_a_list_is_no_state_dict(tmp_path: Path) -> None:
    torch.save([torch.zeros(2)], tmp_path / "w.pt")
    with pytest.raises(InputError, match="holds no state dict"):
        read_model(tmp_path / "w.pt", MLP, SCHEMA)


def test_every_problem_is_listed_at_once(state: State, tmp_path: Path) -> None:
    broken = {k: v.clone() for k, v in state.items() if k != "layers.0.bias"}
    broken["layers.2.weight"] = torch.zeros(10, 64)
    broken["layers.1.bias"][3] = float("nan")
    broken["extra.weight"] = torch.zeros(1)
    torch.save(broken, tmp_path / "w.pt")
    with pytest.raises(Problems) as caught:
        read_model(tmp_path / "w.pt", MLP, SCHEMA)
    assert caught.value.problems == (
        "extra.weight is unexpected",
        "layers.0.bias is missing",
        "layers.1.bias has NaN or infinite numbers",
        "layers.2.weight has shape (10, 64); this architecture with this data needs (2, 64)",
    )


def test_a_factory_with_other_outputs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import torch\ndef net():\n    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))\n"
    (tmp_path / "ten_answers.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    torch.save({"1.weight": torch.zeros(10, 64), "1.bias": torch.zeros(10)}, tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"answers \(10,\) per record; .* need \(2,\)"):
        read_model(tmp_path / "w.pt", Architecture(name="ten_answers:net"), SCHEMA, allow_code=True)
