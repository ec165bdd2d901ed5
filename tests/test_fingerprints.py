"""Functions and objects are told apart by what they are made of, in this process and the next."""

import functools
import subprocess
import sys
import threading

import numba
import numpy as np
import pytest

from fastpatch.fingerprints import fingerprint

GAIN = 1.0

SOURCE = """
GAIN = {gain}

def helper(x):
    return GAIN * x

def score(x, t):
    return -helper(x) if t in {{1.0, 2.0, "end"}} else score(x, 1.0)

class Kind:
    power = {power}

    def method(self, x):
        return x**self.power
"""


def closure(gain):
    def inner(x, t):
        return -gain * x if t > 0 else inner(x, 1.0)

    return inner


def reads_a_global(x):
    return GAIN * x


class Lazy:
    def __init__(self, value):
        self.value = value

    @functools.cached_property
    def kept(self):
        return self.value + 1


def test_code_captured_variables_defaults_and_globals_tell_functions_apart(monkeypatch):
    assert fingerprint(closure(1.0)) == fingerprint(closure(1.0)) != fingerprint(closure(2.0))
    assert fingerprint(lambda x: -x) == fingerprint(lambda x: -x) != fingerprint(lambda x: -2.0 * x)
    assert fingerprint(lambda x, a=1: a) != fingerprint(lambda x, a=2: a)
    assert fingerprint(lambda x, *, a=1: a) != fingerprint(lambda x, *, a=2: a)
    once, twice = (functools.partial(closure(gain), t=1.0) for gain in (1.0, 2.0))
    assert fingerprint(once) == fingerprint(functools.partial(closure(1.0), t=1.0)) != fingerprint(twice)
    before = fingerprint(reads_a_global)
    monkeypatch.setitem(globals(), "GAIN", 2.0)
    assert fingerprint(reads_a_global) != before


@pytest.mark.parametrize("wrap", [functools.cache, numba.njit, staticmethod, property, functools.cached_property])
def test_what_wraps_a_function_goes_by_it(wrap):
    assert fingerprint(wrap(closure(1.0))) == fingerprint(wrap(closure(1.0))) != fingerprint(wrap(closure(2.0)))


@pytest.mark.parametrize(("name", "change"), [("score", {"gain": 2.0}), ("Kind", {"power": 3})])
def test_what_a_user_defines_goes_by_its_code_in_every_process(name, change):
    def found(**values):
        code = f"source = {SOURCE.format(**{'gain': 1.0, 'power': 2, **values})!r}\nexec(source)\n"
        code += f"from fastpatch.fingerprints import fingerprint\nprint(fingerprint({name}))"
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert found() == found() != found(**change)


def test_what_is_installed_goes_by_its_name():
    for value in (np.roll, np.exp, fingerprint, functools.reduce, np.ndarray, np):
        assert len(fingerprint(value)) == 64
    assert len({fingerprint(value) for value in (np.roll, np.fft.fftshift)}) == 2


def test_what_is_cached_does_not_count_and_what_is_set_does():
    one, other = Lazy(1), Lazy(2)
    before = fingerprint(one), fingerprint([one])
    assert one.kept == 2
    assert (fingerprint(one), fingerprint([one])) == before
    assert fingerprint(one) != fingerprint(other)


def test_what_cannot_be_pickled_is_itself_alone():
    locks = threading.Lock(), threading.Lock()

    def holding(lock):
        return lambda x: lock

    assert fingerprint(holding(locks[0])) == fingerprint(holding(locks[0])) != fingerprint(holding(locks[1]))
    assert fingerprint(locks[0]) == fingerprint(locks[0]) != fingerprint(locks[1])
