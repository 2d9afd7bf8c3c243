"""How much memory a process and all that it started hold together."""

from __future__ import annotations

import threading

import psutil


class Peak:
    """Samples it until stopped; what processes share counts once where the system tells (Linux), else in each.

    Args:
        pid: of the process.
        every: seconds between two samples.
    """

    def __init__(self, pid: int, every: float = 0.2) -> None:
        self._root, self._every, self._peak, self._stop = psutil.Process(pid), every, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """The most seen, bytes."""
        self._stop.set()
        self._thread.join()
        return self._peak

    def _watch(self) -> None:
        while not self._stop.wait(self._every):
            try:
                total = sum(map(_held, (self._root, *self._root.children(recursive=True))))
            except psutil.Error:  # One of them has just ended.
                continue
            self._peak = max(self._peak, total)


def _held(process: psutil.Process) -> int:
    found = process.memory_full_info()
    return int(getattr(found, "pss", found.rss))
