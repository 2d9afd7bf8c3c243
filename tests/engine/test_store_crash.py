"""Processes that die while writing, and processes that write and read the same keys at once."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from threatloop.engine.storage.files import Entry
from threatloop.engine.storage.payload import Artefact
from threatloop.engine.storage.store import Store

WRITER = """
import sys
import numpy as np
from threatloop.engine.storage.payload import Artefact
from threatloop.engine.storage.store import Store
store, start = Store(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
for number in range(start, start + 10_000):
    store.put(f"{number:016x}", Artefact({"x": np.full(60_000, number), "y": np.ones(3)}, {"n": number}), {})
"""

SUICIDE = """
import os, signal, sys
import numpy as np
from threatloop.engine.storage import files
from threatloop.engine.storage.payload import Artefact
from threatloop.engine.storage.store import Store
countdown = int(sys.argv[2])

def step(honest):
    def call(*args):
        global countdown
        if countdown == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        countdown -= 1
        return honest(*args)
    return call

class Chunks(tuple):
    def __iter__(self):
        for chunk in super().__iter__():
            step(lambda: None)()
            yield chunk

honest_write = files.LocalFiles.write
files.LocalFiles.write = step(lambda self, path, chunks: honest_write(self, path, Chunks(chunks)))
os.replace = step(os.replace)
store = Store(sys.argv[1])
store.put("a" * 16, Artefact({"x": np.arange(50_000)}, {"n": 1}), {})
print("survived")
"""

RIVAL = """
import sys
import numpy as np
from threatloop.engine.storage.payload import Artefact
from threatloop.engine.storage.store import Store
store, me = Store(sys.argv[1]), int(sys.argv[2])

def check(key):
    artefact = store.get(key)
    writer = artefact.meta["writer"]
    assert (artefact.arrays["x"] == writer).all() and len(artefact.arrays["x"]) == 1000 * (writer + 1), key

for number in range(60):
    for key in (f"{number:016x}", f"{me}{number:015x}"):
        store.put(key, Artefact({"x": np.full(1000 * (me + 1), me)}, {"writer": me}), {"by": me})
        check(key)
    check(f"{number // 2:016x}")
    if number % 20 == me:
        store.gc(keep=None)
print("done", store.manifest("0" * 16).digest)
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def verified(store: Store) -> int:
    """Reads every artefact whole; returns how many there are."""
    numbers = []
    for key in sorted(store.keys()):
        artefact = store.get(key)
        assert set(np.unique(artefact.arrays["x"])) == {artefact.meta["n"]} == {int(key, 16)}
        numbers.append(artefact.meta["n"])
    return len(numbers)


def test_writers_killed_at_random_moments_leave_only_whole_artefacts(tmp_path: Path) -> None:
    store, chance = Store(str(tmp_path / "store")), random.Random(2)
    for lap in range(10):
        writer = start(WRITER, store.url, lap * 10_000)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0.002, 0.08))
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        assert writer.returncode == -signal.SIGKILL
    assert verified(Store(store.url)) >= 10
    survivors = set(store.keys())
    store.gc()
    assert set(store.keys()) == survivors


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, 6, 7, 8])
def test_death_at_every_step_of_a_put(tmp_path: Path, steps: int) -> None:
    """Nine steps: open, chunk and rename of the head; open and two chunks of the arrays; the same of the manifest."""
    writer = start(SUICIDE, tmp_path / "store", steps)
    out, err = writer.communicate()
    assert (writer.returncode, out) == (-signal.SIGKILL, ""), err
    store = Store(str(tmp_path / "store"))
    assert not store.has("a" * 16)
    assert list(store.keys()) == []
    left: list[Entry] = list(store._files.walk("objects"))
    assert len(left) <= 2
    store.put("a" * 16, Artefact({"x": np.arange(50_000)}, {"n": 1}), {})
    np.testing.assert_array_equal(store.get("a" * 16).arrays["x"], np.arange(50_000))


def test_after_its_last_step_a_put_is_complete(tmp_path: Path) -> None:
    out, err = start(SUICIDE, tmp_path / "store", 9).communicate()
    assert out == "survived\n", err
    assert Store(str(tmp_path / "store")).get("a" * 16).meta == {"n": 1}


def test_rivals_on_the_same_and_on_their_own_keys(tmp_path: Path) -> None:
    rivals = [start(RIVAL, tmp_path / "store", me) for me in range(4)]
    answers = [rival.communicate() for rival in rivals]
    assert [rival.returncode for rival in rivals] == [0] * 4, answers
    store = Store(str(tmp_path / "store"))
    keys = set(store.keys())
    assert len(keys) == 60 * 4  # the first rival's own keys are the shared ones
    for key in keys:
        artefact = store.get(key)
        assert set(artefact.arrays["x"]) == {artefact.meta["writer"]}
    assert len(store.get("0" * 16).arrays["x"]) == 1000 * (store.get("0" * 16).meta["writer"] + 1)
