"""How much memory a process and all that it started hold together."""

from __future__ import annotations

import threading

import psutil


class Peak:
    """Samples it until stopped; what processes share counts once where the system tells (Linux), else in each.

    To tell takes the system 20 ms for each gigabyte, in which the process waits: it is asked only when what all hold,
    shared memory in each of them, is more than ever.

    Args:
        pid: of the process.
        every: seconds between two samples.
    """

    def __init__(self, pid: int, every: float = 0.2) -> None:
        self._root, self._every, self._stop = psutil.Process(pid), every, threading.Event()
        self._peak = self._plain = 0
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
                all_of_it = (self._root, *self._root.children(recursive=True))
                plain = sum(process.memory_info().rss for process in all_of_it)
                if plain > self._plain:
                    self._peak = max(self._peak, sum(map(_held, all_of_it)))
                    self._plain = plain
            except psutil.Error:  # One of them has just ended.
                continue


def _held(process: psutil.Process) -> int:
    found = process.memory_full_info()
    return int(getattr(found, "pss", found.rss))
