"""Kernels compiled before they are needed, and what is said meanwhile."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any, TextIO

import numpy as np

from ..dictionary import PatchDictionary
from ..kernels.cpu import fold_block, respond_block
from ..kernels.cpu.signs import ROWS, WORD, count_unequal, pack_signs
from ..kernels.patch import ModeTables, Part, Stepper, posterior_mean, tile_constants
from ..kernels.plan import PatchPlan
from ..kernels.pool import share
from ..noise import NoiseStream, noise_key, standard_normals
from ..process import VPSchedule

__all__ = ["announced", "compile_all", "compile_run"]

_SIDE = 16
_NOTICE = "compiling kernels once, about 10 s"


def compile_run(dtype: Any) -> None:
    """Compile what a run of the patch model in this precision needs, or load it from the disk."""
    standard_normals((1, 1, 1), seed=0)
    plan, precision, times = _plan(), np.dtype(dtype), np.array([1.0])
    x = np.zeros((1, _SIDE, _SIDE), dtype=precision)
    tables = ModeTables(plan.patterns, (_SIDE, _SIDE), np.arange(1))
    stepper = Stepper(plan, tables, Part((_SIDE, _SIDE)), (_SIDE, _SIDE), precision)
    constants = (*tile_constants(plan, *VPSchedule().amplitudes(times), precision), np.zeros((1, 3), dtype=precision))
    records, fields = np.full(1, -1), np.empty((0, *x.shape), dtype=precision)
    stepper.run(x, np.empty_like(x), (0, 0, noise_key(0, NoiseStream.STEP)), constants, records, fields)


def compile_all() -> None:
    """Compile the kernels of patch models, their runs and their analysis, in both precisions.

    Those of trees and of patches at one place depend on the images, and are compiled when they are first used.
    """
    for precision in (np.float32, np.float64):
        compile_run(precision)
        signs = np.empty((ROWS, 2), dtype=np.uint64)
        share(pack_signs, np.zeros((ROWS, WORD), dtype=precision), signs, most=1, seconds=0.0)
    counts = np.empty((1, 1), dtype=np.int64)
    share(count_unequal, signs, ROWS, WORD, np.zeros((1, 2), dtype=np.int64), counts, most=1, seconds=0.0)
    posterior_mean(_plan(), *VPSchedule().amplitudes(1.0), np.zeros((1, _SIDE, _SIDE)))
    z, unit, site = np.zeros((1, 1)), np.zeros(1), np.ones(1)
    fold_block(z, unit, unit, unit, 1, site, site.copy(), site.copy(), site.copy())
    respond_block(z, unit, unit, unit, 1, site, site.copy(), site.copy())


def _plan() -> PatchPlan:
    dictionary = PatchDictionary.random(1)
    return PatchPlan.of(dictionary.patterns, dictionary.prior)


@contextmanager
def announced(stream: TextIO | None) -> Iterator[None]:
    """Say on ``stream`` that kernels are being compiled, and for how long, if the block takes more than half a second.

    A terminal sees the seconds pass, and nothing when they are over; anything else gets one line.
    """
    over = Event()
    speaker = Thread(target=_speak, args=(stream or sys.stderr, over), name="fastpatch-notice", daemon=True)
    if stream is not None:
        speaker.start()
    try:
        yield
    finally:
        over.set()
        if stream is not None:
            speaker.join()


def _speak(stream: TextIO, over: Event) -> None:
    begin = time.monotonic()
    if over.wait(0.5):
        return
    # A stream may be closed, or written to by others: nobody waits for what is said here.
    try:
        if not stream.isatty():
            stream.write(f"{_NOTICE}\n")
            stream.flush()
            return
        while True:
            line = f"{_NOTICE}: {time.monotonic() - begin:.0f} s"
            stream.write(f"\r{line}")
            stream.flush()
            if over.wait(0.2):
                break
        stream.write("\r" + " " * len(line) + "\r")
        stream.flush()
    except (OSError, ValueError):
        return
