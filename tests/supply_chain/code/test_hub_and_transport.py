"""What is fetched: pins, remote code, connections."""

from __future__ import annotations

import pytest

from code_scans import scan

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOP = "from transformers import AutoModel, pipeline\n"


@pytest.mark.parametrize(
    ("code", "rules"),
    [
        (TOP + "AutoModel.from_pretrained('a/b')", ["unpinned-artefact"]),
        (TOP + "AutoModel.from_pretrained('a/b', revision='main')", ["unpinned-artefact"]),
        (TOP + "AutoModel.from_pretrained('a/b', trust_remote_code=True)", ["trust-remote-code", "unpinned-artefact"]),
        (TOP + f"AutoModel.from_pretrained('a/b', trust_remote_code=True, revision='{COMMIT}')", ["trust-remote-code"]),
        (TOP + "pipeline('text-classification', model='a/b')", ["unpinned-artefact"]),
        ("from datasets import load_dataset\nload_dataset('a/b')", ["unpinned-artefact"]),
        ("from huggingface_hub import snapshot_download\nsnapshot_download(repo_id='a/b')", ["unpinned-artefact"]),
        ("import torch\ntorch.hub.load('a/b', 'net')", ["remote-code-torch-hub"]),
        ("import torch\ntorch.hub.load('a/b:main', 'net')", ["remote-code-torch-hub"]),
        ("options = {'trust_remote_code': True}", ["trust-remote-code"]),
        ("import transformers\nclass Mine(transformers.PreTrainedModel):\n    pass\n"
         "Mine.from_pretrained('a/b')", ["unpinned-artefact"]),
        ("import requests\nrequests.get('https://a.org/m.bin', verify=False)", ["unverified-tls"]),
        ("import ssl\nssl._create_default_https_context = ssl._create_unverified_context", ["unverified-tls"]),
        ("import requests\ns = requests.Session()\ns.verify = False", ["unverified-tls"]),
        ("import os\nos.environ['CURL_CA_BUNDLE'] = ''", ["unverified-tls"]),
        ("URL = 'http://models.org/net.pth'", ["plain-http-artefact"]),
        ("import urllib.request as u\nu.urlretrieve('http://models.org/net', 'x')", ["plain-http-artefact"]),
    ],
)  # fmt: skip
def test_loose_fetches_are_found(code: str, rules: list[str]) -> None:
    assert sorted(one.rule for one in scan(code).findings) == rules


@pytest.mark.parametrize(
    "code",
    [
        TOP + f"AutoModel.from_pretrained('a/b', revision='{COMMIT}')",
        TOP + "AutoModel.from_pretrained('./model')",
        TOP + "import os\nAutoModel.from_pretrained(os.path.join(root, 'model'))",
        TOP + "from pathlib import Path\nAutoModel.from_pretrained(Path('runs') / 'last')",
        TOP + "AutoModel.from_pretrained('a/b', local_files_only=True)",
        TOP + "pipeline('text-classification')(x)",
        f"from huggingface_hub import snapshot_download\nfrom transformers import AutoModel\n"
        f"AutoModel.from_pretrained(snapshot_download('a/b', revision='{COMMIT}'))",
        "from datasets import load_dataset\nload_dataset('csv', data_files='a.csv')",
        "class GPT:\n    @classmethod\n    def from_pretrained(cls, name):\n        return cls()\n"
        "GPT.from_pretrained('gpt2')",
        f"import torch\ntorch.hub.load('a/b:{COMMIT}', 'net')",
        "import torch\ntorch.hub.load('./here', 'net', source='local')",
        "import requests\nrequests.get('https://a.org', verify='ca.pem')",
        "parser.verify(strict=False)\nsignature.check(verify=False)",
        "XMLNS = 'http://www.w3.org/2000/svg'",
        "HOME = 'http://localhost:8000/model.bin'",
        TOP + "AutoModel.from_pretrained('a/b', trust_remote_code=False, revision=REVISION)",
    ],
)  # fmt: skip
def test_tight_fetches_are_left_alone(code: str) -> None:
    result = scan(code)
    assert [(one.rule, one.subject) for one in result.findings] == []
    assert result.skipped == ()


def test_a_source_known_only_at_run_time_is_low() -> None:
    result = scan(TOP + "def f(name):\n    return AutoModel.from_pretrained(name)")
    assert [(one.severity, one.rule) for one in result.findings] == [("low", "unpinned-artefact")]


def test_data_sets_are_a_threat_to_training() -> None:
    (found,) = scan("from datasets import load_dataset\nload_dataset('a/b')").findings
    assert (found.threat, found.direction) == ("threat:unverified-training-data", "D→M")


def test_pins_decided_elsewhere_are_said_to_be() -> None:
    result = scan(TOP + "def f(**more):\n    return AutoModel.from_pretrained('a/b', **more)")
    assert (result.findings, len(result.skipped)) == ((), 1)
