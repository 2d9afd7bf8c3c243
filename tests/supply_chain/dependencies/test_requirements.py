"""Requirements files: pip's syntax, includes, constraints, markers, and everything that is broken in them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from manifests import LINUX, read, reasons, shown, tree
from threatloop.supply_chain.dependencies.model import Reading
from threatloop.supply_chain.dependencies.requirement import read_requirement
from threatloop.supply_chain.dependencies.requirements import logical_lines, read_requirements
from threatloop.supply_chain.dependencies.session import Session
from threatloop.supply_chain.dependencies.target import target
from threatloop.supply_chain.result import Place


def test_everything_that_pip_takes(tmp_path: Path) -> None:
    text = (
        "\ufeff# a comment\r\n"
        "torch == 2.1.0 ; python_version >= '3.8'  # the framework\r\n"
        "Pillow[webp]>=9,<10\r\n"
        "requests==2.31.0 \\\r\n"
        "    --hash=sha256:AB12 \\\r\n"
        "    --hash=sha256:cd34\r\n"
        "numpy\r\n"
        "./local/package\r\n"
        "-e git+https://user:token@example.org/x.git@v1#egg=x\r\n"
        "https://example.org/wheels/scipy-1.11.0-cp311-cp311-linux_x86_64.whl#sha256=ee55\r\n"
        "pkg @ https://example.org/pkg-3.0.tar.gz\r\n"
        "--no-binary :all:\r\n"
    )
    found = read(tmp_path, {"requirements.txt": text})
    assert not found.errors
    assert shown(found) == [
        "torch==2.1.0",
        "Pillow<10,>=9",
        "requests==2.31.0",
        "numpy",
        "x",
        "scipy==1.11.0",
        "pkg==3.0",
    ]
    by_name = {one.name: one for one in found.dependencies}
    assert by_name["requests"].hashes == ("sha256:ab12", "sha256:cd34")
    assert by_name["requests"].place == Place("requirements.txt", 4)
    assert by_name["scipy"].hashes == ("sha256:ee55",)
    assert "token" not in str(found)
    assert [one.place.line for one in found.skipped if "version is not known" in one.reason] == [8, 9]


def test_markers_count_for_the_stated_environment(tmp_path: Path) -> None:
    text = 'a==1 ; sys_platform == "win32"\nb==1 ; python_version < "3.9"\nc==1\n'
    linux = read(tmp_path, {"requirements.txt": text})
    assert shown(linux) == ["c==1"]
    assert reasons(linux)[0].startswith("1: ")
    assert "not for Python 3.11 on linux" in reasons(linux)[0]
    assert shown(read(tmp_path, {"requirements.txt": text}, target("3.8", "windows"))) == ["a==1", "b==1", "c==1"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a ==", "no requirement"),
        ("a b", "no requirement"),
        ("a>=1.x", "no requirement"),
        ("=1", "no requirement"),
        ("--sorcery yes", "an option that pip does not know"),
        ("a==1 --sorcery", "an option that pip does not know"),
        ("-r missing.txt", "does not exist"),
        ("-r https://user:pw@example.org/r.txt", "remote files are not fetched"),
        ("-r ../../outside.txt", "leads out of what is scanned"),
        ("a==${VERSION}", "the variable ${VERSION} is not filled in"),
        ("-r ${FILE}", "variables are not filled in"),
        ('a ; nonsense == "1"', "no requirement"),
        ("a" * 30_000, "a requirement of 30,000 characters"),
    ],
)
def test_a_broken_line_is_named_and_the_rest_counts(tmp_path: Path, line: str, reason: str) -> None:
    found = read(tmp_path / "tree", {"requirements.txt": f"first==1\n{line}\nlast==2\n"})
    assert shown(found) == ["first==1", "last==2"]
    [only] = reasons(found)
    assert only.startswith("2: ")
    assert reason in only
    assert "pw" not in only


def test_includes_are_read_once_and_circles_reported(tmp_path: Path) -> None:
    files = {
        "requirements.txt": "-r one.txt\n-r two.txt\n--requirement=three.txt\n",
        "one.txt": "-r shared.txt\na==1\n",
        "two.txt": "-r shared.txt\n-rone.txt\n",
        "three.txt": "-r requirements.txt\nc==1\n",
        "shared.txt": "s==1\n",
    }
    found = read(tmp_path, files)
    assert shown(found) == ["s==1", "a==1", "c==1"]
    assert reasons(found) == ["1: includes itself: requirements.txt -> three.txt -> requirements.txt"]
    assert found.errors[0].place == Place("three.txt", 1)


def test_a_long_chain_of_includes_ends(tmp_path: Path) -> None:
    files = {"requirements.txt": "-r r0.txt\n"} | {f"r{n}.txt": f"-r r{n + 1}.txt\np{n}==1\n" for n in range(60)}
    found = read(tmp_path, files)
    assert any("files include one another" in reason for reason in reasons(found))


def test_constraints_narrow_and_pin(tmp_path: Path) -> None:
    files = {
        "requirements.txt": "-c limits.txt\ntorch>=1\nnumpy\nscipy==1.2\n",
        "limits.txt": "torch==2.0\nnumpy<2\nscipy==1.3\nunasked==4\n",
    }
    found = read(tmp_path, files)
    assert sorted(shown(found)) == ["numpy<2", "scipy==1.2", "torch==2.0", "unasked==4"]
    assert [one.group for one in found.dependencies if one.name == "unasked"] == ["constraint"]


def test_links_out_of_the_tree_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret==1\n", encoding="utf-8")
    folder = tree(tmp_path / "tree", {"requirements.txt": "-r link.txt\nloop==1\n-r loop.txt\n"})
    os.symlink(tmp_path / "secret.txt", folder / "link.txt")
    os.symlink(folder / "loop.txt", folder / "loop.txt")
    found = read(folder, {"requirements.txt": "-r link.txt\na==1\n-r loop.txt\n"})
    assert shown(found) == ["a==1"]
    assert len(reasons(found)) == 2


def test_a_second_index_and_an_open_connection_are_findings(tmp_path: Path) -> None:
    options = (
        "--extra-index" + "-url https://u:p@one.example/all",
        "-i http://two.example",
        "--trusted-host three.example",
    )
    found = read(tmp_path, {"requirements.txt": "\n".join((*options, "a==1"))})
    assert [one.rule for one in found.findings] == [
        "extra-package-index",
        "unprotected-package-index",
        "unprotected-package-index",
    ]
    assert "u:p" not in str(found.findings)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("a==1\n".encode("utf-16"), "a==1"),
        (b"\xef\xbb\xbfa==1\n", "a==1"),
        (b"a==1\rb==2\r\n", "a==1,b==2"),
        (b"a==1\n\xff\xfe\xfa", ""),
    ],
)
def test_encodings(tmp_path: Path, data: bytes, text: str) -> None:
    (tmp_path / "requirements.txt").write_bytes(data)
    found = Reading()
    read_requirements(Session(tmp_path, LINUX, found), tmp_path / "requirements.txt")
    assert ",".join(shown(found)) == text
    assert bool(found.errors) == (not text)


def test_logical_lines_have_the_number_of_their_first_line() -> None:
    text = "a \\\nb\n# c \\\nd # e\nf\\\n# g\nh\\"
    assert list(logical_lines(text)) == [(1, "a b"), (4, "d"), (5, "f"), (7, "h")]


_NAMES = st.from_regex(r"[a-zA-Z]([a-zA-Z0-9._-]{0,8}[a-zA-Z0-9])?", fullmatch=True)
_VERSIONS = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}(rc1|\.post1)?", fullmatch=True)
_PARTS = st.tuples(st.sampled_from(["==", ">=", "<=", "!=", ">", "<"]), _VERSIONS).map("".join)


@given(_NAMES, st.lists(_PARTS, max_size=3), st.lists(st.sampled_from(["x", "y1"]), max_size=2, unique=True))
def test_what_packaging_writes_is_read_as_it_was_meant(name: str, parts: list[str], extras: list[str]) -> None:
    wish = f"{name}[{','.join(extras)}]{','.join(parts)}" if extras else f"{name}{','.join(parts)}"
    meant, found = Requirement(wish), Reading()
    read_requirement(found, str(meant), Place("r"), LINUX)
    assert not found.errors
    [one] = found.dependencies
    pins = [part for part in meant.specifier if part.operator == "=="]
    assert one.name == meant.name
    assert one.version == (next(iter(pins)).version if pins else "") or len(pins) > 1
    assert one.version or one.specifier == str(meant.specifier)


@given(st.text(max_size=200))
def test_no_text_is_dropped_in_silence(text: str) -> None:
    found = Reading()
    read_requirement(found, text, Place("r"), LINUX)
    assert found.errors or found.skipped or found.dependencies
