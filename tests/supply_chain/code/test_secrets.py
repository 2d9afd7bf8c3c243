"""Secrets are found and never shown. The tokens here are made of random letters and belong to nobody."""

from __future__ import annotations

import random
import string

import pytest

from code_scans import scan
from threatloop.supply_chain.code.scan import scan_bytes

LETTERS = string.ascii_letters + string.digits


def made(prefix: str, length: int, seed: int = 7) -> str:
    return prefix + "".join(random.Random(seed).choices(LETTERS, k=length))


@pytest.mark.parametrize(
    "secret",
    [made("hf_", 34), made("sk-proj-", 48), made("ghp_", 36), made("AIza", 35), made("glpat-", 20), made("r8_", 37)],
)
def test_known_tokens_are_found_and_not_shown(secret: str) -> None:
    result = scan(
        f"from transformers import AutoModel\nAutoModel.from_pretrained('a/b', token='{secret}')\nTOKEN = '{secret}'"
    )
    assert {one.rule for one in result.findings} == {"leaked-secret", "unpinned-artefact"}
    for one in result.findings:
        for shown in (one.subject, one.detail, one.title):
            assert secret not in shown
            assert secret[:12] not in shown


def test_keys_without_a_pattern_are_found_by_the_name_they_are_given_to() -> None:
    secret = made("", 40)
    result = scan(f"config = {{'api_key': '{secret}'}}\nclient = Client(password='{made('', 32, 3)}')")
    assert [one.severity for one in result.findings] == ["medium", "medium"]
    assert not any(secret in one.subject + one.detail for one in result.findings)


@pytest.mark.parametrize(
    "code",
    [
        "API_KEY = 'your-api-key-goes-here-0000'",
        "TOKEN = 'hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'",
        "import os\ntoken = os.environ['HF_TOKEN']",
        "api_key = 'OPENAI_API_KEY'",
        "hf_token = 'hf_...'",
        "digest = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'",
        "password = 'correct horse battery staple'",
    ],
)
def test_placeholders_and_digests_are_left_alone(code: str) -> None:
    assert scan(code).findings == ()


def test_the_fingerprint_stays_when_lines_move() -> None:
    code = f"TOKEN = '{made('hf_', 34)}'"
    (first,), (second,) = scan(code).findings, scan("\n\n" + code).findings
    assert first.fingerprint == second.fingerprint


def test_a_secret_in_a_broken_call_is_not_shown_in_reasons() -> None:
    secret = made("hf_", 34)
    result = scan_bytes(f"f('{secret}'".encode(), "m.py")
    assert len(result.errors) == 1
    assert secret not in result.errors[0].reason
