"""A small ATLAS, a sentence encoder that needs no weights, PDFs, and a model that plays its roles as it should."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.threats.evidence.corpus import Corpus, Example, Technique

TECHNIQUES = {
    "AML.T0020": ("Poison Training Data", "Adversaries put poisoned records with wrong labels into training sets."),
    "AML.T0024": ("Exfiltration via Inference API", "Adversaries query an inference API to steal a model."),
    "AML.T0051": ("LLM Prompt Injection", "Malicious prompts make a language model ignore its instructions."),
    "AML.T0052": ("Phishing", "Adversaries send messages by mail to lure victims to hostile pages."),
}
STEPS = {
    "AML.T0020": ("wrong labels were put into records of the training set", "bad data spoiled what was learnt"),
    "AML.T0024": ("the model was stolen by queries to its inference API", "endless questions made a copy"),
    "AML.T0051": ("a prompt made the language model ignore its instructions", "words overruled the orders"),
    "AML.T0052": ("a mail lured the victim to a hostile page", "somebody clicked what was sent"),
}
"""Of each technique, how most case studies put it, and how the others do."""
POISON = "Wrong labels were put into poisoned records of the training set by the attackers."
STEAL = "The model was stolen by fifty thousand queries to its inference API."


def embed(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """Unit vectors of hashed words, float32 (n, 256): texts with the same words are alike."""
    found = np.zeros((len(texts), 256), np.float32)
    for row, text in zip(found, texts, strict=True):
        for word in text.lower().replace(".", " ").split():
            row[zlib.crc32(word.encode()) % 256] += 1
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True).clip(1e-9))


def corpus(studies: int = 0) -> Corpus:
    """Four techniques, and so many case studies with one step of each."""
    techniques = tuple(Technique(id_, name, name, text) for id_, (name, text) in TECHNIQUES.items())
    examples = tuple(
        Example(f"AML.CS{study:04d}", id_, f"In case{study}, {STEPS[id_][study % 5 < 2]}.")
        for study in range(studies)
        for id_ in TECHNIQUES
    )
    return Corpus("ATLAS small", techniques, examples)


def pdf(pages: Sequence[str], title: str = "") -> bytes:
    """A PDF with a line of text on each page; an empty one has none."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", ""]
    kids = []
    for text in pages:
        stream = f"BT /F1 12 Tf 50 700 Td ({text}) Tj ET" if text else ""
        kids.append(f"{len(objects) + 2} 0 R")
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
        font = "<< /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >>"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents {len(objects)} 0 R "
            f"/Resources << /Font {font} >> >>"
        )
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    objects.append(f"<< /Title ({title}) >>")
    raw, places = b"%PDF-1.4\n", list[int]()
    for number, content in enumerate(objects, 1):
        places.append(len(raw))
        raw += f"{number} 0 obj\n{content}\nendobj\n".encode()
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    end = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    end += (
        f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /Info {len(objects)} 0 R >>\nstartxref\n{len(raw)}\n%%EOF\n"
    )
    return raw + end.encode()


def role(body: dict[str, Any]) -> str:
    """Which role a question is for: ``extract``, ``verify`` or ``map``."""
    material = material_of(body)
    if "text" in material:
        return "extract"
    return "map" if "candidates" in material["claims"][0] else "verify"


def material_of(body: dict[str, Any]) -> dict[str, Any]:
    """The material of a question, from its second message."""
    found: dict[str, Any] = json.loads(body["messages"][1]["content"])
    return found


def player(
    passages: Sequence[str] = (POISON,),
    supported: Callable[[dict[str, Any]], bool] = lambda claim: bool(claim),
    technique: Callable[[dict[str, Any]], str] = lambda claim: str(claim["candidates"][0]["id"]),
) -> Callable[[dict[str, Any]], str]:
    """A model that finds these passages where its chunk has them, and judges as it is told."""

    def reply(body: dict[str, Any]) -> str:
        material, part = material_of(body), role(body)
        if part == "extract":
            there = [one for one in passages if one in " ".join(material["text"].split())]
            ttps = [{"name": f"Attack {n}", "summary": one, "passage": one} for n, one in enumerate(there)]
            return json.dumps({"ttps": ttps})
        claims = material["claims"]
        if part == "verify":
            return json.dumps({"verdicts": [{"number": one["number"], "supported": supported(one)} for one in claims]})
        return json.dumps({"mappings": [{"number": one["number"], "technique": technique(one)} for one in claims]})

    return reply
