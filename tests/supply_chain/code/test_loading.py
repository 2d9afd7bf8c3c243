"""Loads that run code: what is found, how bad it is by its source, and what is left alone."""

from __future__ import annotations

import pytest

from code_scans import scan
from threatloop.supply_chain.result import Severity

CRITICAL, HIGH, MEDIUM, LOW = Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW
LOCAL, FETCHED = "threat:malicious-model-file", "threat:unsafe-download-deserialisation"


@pytest.mark.parametrize(
    "code",
    [
        "import torch\ntorch.load('m.pt', weights_only=False)",
        "import torch as t\nt.load('m.pt', weights_only=False)",
        "from torch import load as l\nl('m.pt', weights_only=False)",
        "import torch\nread = torch.load\nread('m.pt', weights_only=False)",
        "import torch\nfrom functools import partial\nread = partial(torch.load, weights_only=False)\nread('m.pt')",
        "import torch\noptions = {'weights_only': False}\ntorch.load('m.pt', **options)",
        "import torch\ndef f(path):\n    strict = False\n    return torch.load(path, weights_only=strict)",
        "try:\n    import torch\nexcept ImportError:\n    torch = None\ntorch.load('m.pt', weights_only=False)",
        "from torch import *\nfrom math import *\nload('m.pt', weights_only=False)",
        "import torch\ngetattr(torch, 'load')('m.pt', weights_only=False)",
        "import importlib\nimportlib.import_module('torch').load('m.pt', weights_only=False)",
        "import torch\nmatch x:\n    case 1 if torch.load('m.pt', weights_only=False):\n        pass",
        "import torch\ntorch.load('m.pt', None, pickle)",
        "import torch\nclass A:\n    def __init__(self):\n        self.read = torch.load\n"
        "    def go(self):\n        return self.read('m.pt', weights_only=False)",
    ],
)
def test_the_name_of_a_load_is_followed(code: str) -> None:
    (found,) = scan(code).findings
    assert (found.rule, found.severity, found.threat) == ("torch-load", HIGH, LOCAL)


@pytest.mark.parametrize(
    "code",
    [
        "import numpy\nnumpy.load('allow_pickle.npy', **options)",
        "import keras  # safe_mode\nkeras.models.load_model('m.keras', **options)",
    ],
)
def test_arguments_that_are_not_known_are_skipped(code: str) -> None:
    result = scan(code)
    assert (result.findings, len(result.skipped)) == ((), 1)


@pytest.mark.parametrize(
    ("safe_torch", "expected"),
    [(None, [MEDIUM]), (False, [HIGH]), (True, [])],
)
def test_the_default_of_torch_load_depends_on_the_version(safe_torch: bool | None, expected: list[Severity]) -> None:
    result = scan("import torch\ntorch.load('m.pt')", safe_torch)
    assert [finding.severity for finding in result.findings] == expected


@pytest.mark.parametrize(
    "source",
    [
        "data = requests.get('https://a.org/m').content\npickle.loads(data)",
        "with open('m.pkl', 'wb') as f:\n    f.write(requests.get('https://a.org/m').content)\n"
        "pickle.load(open('m.pkl', 'rb'))",
        "path = hf_hub_download('a/b', 'm.pkl', revision=REV)\nwith open(path, 'rb') as f:\n    pickle.load(f)",
        "urllib.request.urlretrieve('https://a.org/m', target)\npickle.load(open(target, 'rb'))",
        "pickle.load(urllib.request.urlopen('https://a.org/m'))",
        "def get():\n    return requests.get('https://a.org/m').content\ndef use():\n    return pickle.loads(get())",
        "body = io.BytesIO(requests.get('https://a.org/m').content)\npickle.load(body)",
        "Path('m.pkl').write_bytes(requests.get('https://a.org/m').content)\npickle.loads(Path('m.pkl').read_bytes())",
        "for url in URLS:\n    last = requests.get(url).content\npickle.loads(last)",
    ],
)
def test_what_is_downloaded_is_critical(source: str) -> None:
    head = (
        "import io, pickle, requests, urllib.request\nfrom pathlib import Path\n"
        "from huggingface_hub import hf_hub_download\n"
    )
    found = [finding for finding in scan(head + source).findings if finding.rule == "pickle-load"]
    assert [(one.severity, one.threat) for one in found] == [(CRITICAL, FETCHED)]


def test_what_a_request_brings_is_critical() -> None:
    result = scan(
        """
        import pickle
        from flask import Flask, request
        app = Flask(__name__)
        @app.route("/load", methods=["POST"])
        def load():
            return str(pickle.loads(request.data))
        """
    )
    (found,) = [one for one in result.findings if one.rule == "pickle-load"]
    assert (found.severity, "a request" in found.detail) == (CRITICAL, True)


@pytest.mark.parametrize(
    ("code", "rule", "severity"),
    [
        ("import joblib\njoblib.load('m.joblib')", "pickle-load", MEDIUM),
        ("import dill\ndill.load(open('m', 'rb'))", "pickle-load", MEDIUM),
        ("import pandas as pd\npd.read_pickle('m.pkl')", "pickle-load", MEDIUM),
        ("try:\n    import cPickle as pickle\nexcept ImportError:\n    import pickle\n"
         "pickle.load(f)", "pickle-load", MEDIUM),
        ("import numpy as np\nnp.load('a.npy', allow_pickle=True)", "numpy-pickle", MEDIUM),
        ("import yaml\nyaml.load(open('a'), Loader=yaml.Loader)", "unsafe-yaml", HIGH),
        ("import yaml\nyaml.unsafe_load(open('a'))", "unsafe-yaml", HIGH),
        ("import yaml\nyaml.load(open('a'))", "unsafe-yaml", MEDIUM),
        ("import yaml\nyaml.load(open('a'), yaml.FullLoader)", "unsafe-yaml", LOW),
        ("import keras\nkeras.models.load_model('m.keras', safe_mode=False)", "unsafe-keras", HIGH),
        ("import tensorflow as tf\ntf.keras.models.load_model('m', safe_mode=False)", "unsafe-keras", HIGH),
        ("import torch\ntorch.hub.load_state_dict_from_url(URL)", "torch-load-from-url", HIGH),
        ("import torch\ntorch.hub.load_state_dict_from_url(URL, check_hash=True)", "torch-load-from-url", MEDIUM),
        (
            "from langchain_community.vectorstores import FAISS\n"
            "FAISS.load_local('i', e, allow_dangerous_deserialization=True)",
            "unsafe-index", HIGH,
        ),
    ],
)  # fmt: skip
def test_other_loads_are_found(code: str, rule: str, severity: Severity) -> None:
    assert [(one.rule, one.severity) for one in scan(code).findings] == [(rule, severity)]


@pytest.mark.parametrize(
    "code",
    [
        "import torch\ntorch.load('m.pt', weights_only=True)",
        "import torch\nkw = dict(weights_only=True)\ntorch.load('m.pt', **kw)",
        "import torch\nfrom functools import partial\nread = partial(torch.load, weights_only=True)\nread('m.pt')",
        "import pickle\npickle.loads(pickle.dumps(x))",
        "import pickle\nclass Strict(pickle.Unpickler):\n    def find_class(self, m, n):\n"
        "        raise ValueError\nStrict(f).load()",
        "import json\njson.load(open('a'))",
        "import numpy as np\nnp.load('a.npy')",
        "import numpy as np\nnp.load('a.npy', allow_pickle=False)",
        "import yaml\nyaml.safe_load(open('a'))",
        "import yaml\nyaml.load(open('a'), Loader=yaml.CSafeLoader)",
        "import yaml\ntry:\n    from yaml import CSafeLoader as L\nexcept ImportError:\n"
        "    from yaml import SafeLoader as L\nyaml.load(t, L)",
        "import yaml\nclass Lines(yaml.SafeLoader):\n    pass\nyaml.load(t, Loader=Lines)",
        "import keras\nkeras.models.load_model('m.keras')",
        "from safetensors.torch import load_file\nload_file('m.safetensors')",
        "class Store:\n    def load(self):\n        return 1\nStore().load()",
        "import mypickle as pickle2\npickle2.safe_load(x)",
        "import torch\ntorch.hub.load_state_dict_from_url(URL, weights_only=True)",
    ],
)  # fmt: skip
def test_safe_loads_are_left_alone(code: str) -> None:
    result = scan(code)
    assert (result.findings, result.errors, result.skipped, len(result.read)) == ((), (), (), 1)


@pytest.mark.parametrize(
    "code",
    [
        "import torch\ndef f(path, **options):\n    return torch.load(path, **options)",
        "import torch\ndef f(path, strict):\n    return torch.load(path, weights_only=strict)",
        "import yaml\ndef f(text, loader):\n    return yaml.load(text, Loader=loader)",
    ],
)
def test_what_is_decided_elsewhere_is_said_to_be(code: str) -> None:
    result = scan(code)
    assert result.findings == ()
    assert len(result.skipped) == 1
    assert result.skipped[0].place.line == 3


def test_keywords_bound_in_one_branch_stay_with_their_function() -> None:
    head = "import torch\nfrom functools import partial\nfrom safetensors.torch import load_file\n"
    safe = head + "read = load_file\nif old:\n    read = partial(torch.load, weights_only=True)\nread('m')"
    assert scan(safe).findings == ()
    either = head + "read = torch.load\nif new:\n    read = partial(torch.load, weights_only=True)\nread('m')"
    assert [one.rule for one in scan(either).findings] == ["torch-load"]
