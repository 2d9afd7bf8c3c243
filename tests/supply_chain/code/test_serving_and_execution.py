"""Endpoints, language models whose output is run, and training on what others sent."""

from __future__ import annotations

import pytest

from code_scans import scan
from threatloop.supply_chain.result import Result

API = "from fastapi import FastAPI, UploadFile, Depends\napp = FastAPI()\n"


def rules(result: Result) -> list[tuple[str, str]]:
    return [(one.rule, one.severity.value) for one in result.findings]


@pytest.mark.parametrize(
    "code",
    [
        API + "@app.post('/p')\ndef p(x: list):\n    return {'scores': model.predict_proba([x]).tolist()}",
        API + "import torch\n@app.post('/p')\nasync def p(x: list):\n    s = torch.softmax(net(x), -1)\n"
              "    return s.tolist()",
        "from flask import Flask, request, jsonify\napp = Flask('a')\n@app.route('/p')\ndef p():\n"
        "    return jsonify(model.predict_proba(request.json).tolist())",
        "from flask import Blueprint, request\nbp = Blueprint('a', 'b')\ndef score(x):\n"
        "    return model.predict_proba(x)\n"
        "@bp.post('/p')\ndef p():\n    return score(request.json)",
        "import gradio as gr\ndef classify(x):\n    return model.predict_proba(x)\n"
        "gr.Interface(fn=classify, inputs='text', outputs='label').launch()",
        "class TritonPythonModel:\n    def execute(self, requests):\n"
        "        return [softmax(self.net(r)) for r in requests]\n"
        "def softmax(x):\n    import torch\n    return torch.softmax(x, -1)",
        "import bentoml\nclass S:\n    @bentoml.api\n    def p(self, x):\n        return self.model.predict_proba(x)",
        "from .main import router\n@router.post('/p')\ndef p(x):\n    return model.predict_proba(x)",
    ],
)  # fmt: skip
def test_full_scores_are_found(code: str) -> None:
    assert rules(scan(code)) == [("full-score-endpoint", "high")]


def test_limits_and_identity_make_it_less() -> None:
    limited = API + "from slowapi import Limiter\n@app.post('/p')\ndef p(x: list):\n    return model.predict_proba(x)"
    assert rules(scan(limited)) == [("full-score-endpoint", "medium")]
    both = API + (
        "from slowapi import Limiter\n@app.post('/p')\ndef p(x: list, user=Depends(current_user)):\n"
        "    return model.predict_proba(x)"
    )
    assert rules(scan(both)) == [("full-score-endpoint", "low")]


@pytest.mark.parametrize(
    "body",
    [
        "return {'label': int(model.predict_proba([x]).argmax())}",
        "return {'label': names[np.argmax(model.predict_proba([x]))]}",
        "return {'score': round(model.predict_proba([x])[0][1], 1)}",
    ],
)
def test_labels_and_rounded_scores_are_no_full_scores(body: str) -> None:
    result = scan(API + f"import numpy as np\n@app.post('/p')\ndef p(x: list):\n    {body}")
    assert rules(result) == [("unlimited-endpoint", "medium")]


def test_functions_that_nobody_is_served_are_left_alone() -> None:
    assert (
        rules(
            scan(API + "def p(x):\n    return model.predict_proba(x)\n@app.get('/health')\ndef h():\n    return 'ok'")
        )
        == []
    )


LLM = "from openai import OpenAI\nclient = OpenAI()\n"
ASK = (
    "client.chat.completions.create(model='m', messages=[{'role': 'user', 'content': text}]).choices[0].message.content"
)


@pytest.mark.parametrize(
    "sink", ["exec(out)", "eval(out)", "subprocess.run(out, shell=True)", "db.execute(out)", "os.system(out)"]
)
def test_answers_that_are_run_are_found(sink: str) -> None:
    code = LLM + f"import os, subprocess\ndef f(text):\n    out = {ASK}\n    {sink}"
    assert rules(scan(code)) == [("model-output-run", "high")]


@pytest.mark.parametrize(
    "source",
    ["text = requests.get(url).text", "text = store.similarity_search(q)[0].page_content", "text = st.text_input('q')"],
)
def test_outside_text_in_the_prompt_makes_it_critical(source: str) -> None:
    code = LLM + f"import requests\nimport streamlit as st\n{source}\nexec({ASK})"
    assert rules(scan(code)) == [("model-output-run", "critical")]


def test_answers_through_an_object_and_a_helper_are_followed() -> None:
    result = scan(
        """
        from openai import OpenAI
        class Agent:
            def __init__(self):
                self.client = OpenAI()
            def ask(self, text):
                answer = self.client.chat.completions.create(messages=[text])
                return answer.choices[0].message.content
            def go(self, text):
                return eval(self.ask(text))
        """
    )
    assert rules(result) == [("model-output-run", "high")]


@pytest.mark.parametrize(
    "code",
    [
        LLM + f"import json\ndef f(text):\n    return json.loads({ASK})",
        LLM + f"def f(text):\n    out = {ASK}\n    db.execute('insert into t values (?)', (out,))",
        "import ast\ndef f(text):\n    return ast.literal_eval(text)",
        "import re\nexec(open('setup_version.py').read())",
        "import subprocess, requests\npath = download('https://a.org/x')\n"
        "subprocess.run(['tar', 'xf', path], check=True)",
        "model.eval()\ndf.eval('a + b')",
    ],
)
def test_answers_that_are_only_data_are_left_alone(code: str) -> None:
    assert rules(scan(code)) == []


def test_downloaded_code_is_critical() -> None:
    assert rules(scan("import requests\nexec(requests.get('https://a.org/x.py').text)")) == [
        ("downloaded-code-run", "critical")
    ]


@pytest.mark.parametrize(
    ("code", "severity"),
    [
        (API + "import pandas as pd\n@app.post('/t')\ndef t(file: UploadFile):\n"
               "    model.fit(pd.read_csv(file.file))", "high"),
        ("import pandas as pd\nmodel.fit(pd.read_csv('uploads/latest.csv'))", "high"),
        ("import pandas as pd\nmodel.fit(pd.read_csv('https://a.org/d.csv'))", "medium"),
        ("import requests\nrows = requests.get(u).json()\nclf.partial_fit([r['x'] for r in rows], y)", "medium"),
        ("from transformers import Trainer\nimport pandas as pd\nd = pd.read_json('feedback.jsonl')\n"
         "Trainer(model=m, train_dataset=d).train()", "high"),
    ],
)  # fmt: skip
def test_training_on_what_others_wrote_is_found(code: str, severity: str) -> None:
    found = [one for one in rules(scan(code)) if one[0] == "unverified-training-data"]
    assert found == [("unverified-training-data", severity)]


@pytest.mark.parametrize(
    "code",
    [
        "import pandas as pd\nmodel.fit(pd.read_csv('train.csv'))",
        "import pandas as pd\nd = pd.read_csv('uploads/latest.csv')\nmodel.fit(validate(d))",
        "from sklearn.datasets import load_iris\nx, y = load_iris(return_X_y=True)\nmodel.fit(x, y)",
    ],
)
def test_training_on_own_or_checked_data_is_left_alone(code: str) -> None:
    assert rules(scan(code)) == []
