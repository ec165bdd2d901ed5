"""The dictionary of patterns: the three readings of the paper's count, its invariants, and what it refuses."""

import numpy as np
import pytest
from cases import DICTIONARIES
from hypothesis import given
from hypothesis import strategies as st

import fastpatch as fp
from fastpatch.errors import DtypeError, InvalidInputError


@pytest.mark.parametrize(
    ("options", "random", "each"),
    [({}, 16, 0.1 / 16), ({"n_random": 4}, 8, 0.1 / 8), ({"sign_flips": False}, 8, 0.1 / 8)],
    ids=["18", "10 with flips", "10 without flips"],
)
def test_the_three_readings_of_ten_patterns(options, random, each):
    dictionary = fp.PatchDictionary.random(**options)
    assert dictionary.patterns.shape == (random + 2, 5, 5)
    assert set(np.unique(dictionary.patterns)) == {-1.0, 1.0}
    np.testing.assert_allclose(dictionary.prior[:-2], each, rtol=1e-15)
    np.testing.assert_allclose(dictionary.prior[-2:], 0.45, rtol=1e-15)
    np.testing.assert_array_equal(dictionary.patterns[-2], 1.0)
    np.testing.assert_array_equal(dictionary.patterns[-1], -1.0)
    flips = options.get("sign_flips", True)
    assert dictionary.is_z2_symmetric == flips
    if flips:
        np.testing.assert_array_equal(dictionary.patterns[random // 2 : random], -dictionary.patterns[: random // 2])


def test_random_patterns_are_fair_independent_signs():
    patterns = fp.PatchDictionary.random(n_random=4000, sign_flips=False, uniform_mass=0.0, seed=9).patterns
    flat = patterns.reshape(4000, 25)
    # Five standard errors, for 25 means and 300 correlations of +-1 variables.
    assert np.abs(flat.mean(axis=0)).max() < 5 / np.sqrt(4000)
    correlations = flat.T @ flat / 4000 - np.eye(25)
    assert np.abs(correlations).max() < 5 / np.sqrt(4000)


def test_the_seed_decides_the_patterns_and_nothing_else_does():
    same = fp.PatchDictionary.random(seed=5), fp.PatchDictionary.random(seed=5, uniform_mass=0.5)
    np.testing.assert_array_equal(same[0].patterns, same[1].patterns)
    assert same[0] == fp.PatchDictionary.random(seed=5)
    assert same[0] != same[1]
    assert same[0] != fp.PatchDictionary.random(seed=6)
    assert hash(same[0]) == hash(fp.PatchDictionary.random(seed=5))
    assert same[0] != "a dictionary"


@given(
    n_random=st.integers(1, 6), flips=st.booleans(), mass=st.floats(0.0, 1.0), radius=st.integers(0, 3),
    seed=st.integers(0, 2**63),
)  # fmt: skip
def test_every_random_dictionary_is_a_distribution_over_odd_patterns(n_random, flips, mass, radius, seed):
    dictionary = fp.PatchDictionary.random(n_random, flips, mass, 2 * radius + 1, seed)
    assert dictionary.patterns.shape == (len(dictionary), dictionary.size, dictionary.size)
    assert (dictionary.size, dictionary.radius) == (2 * radius + 1, radius)
    assert (dictionary.prior > 0.0).all()
    assert dictionary.prior.sum() == pytest.approx(1.0, abs=1e-15)
    uniform = np.abs(dictionary.patterns.sum(axis=(1, 2))) == dictionary.size**2
    assert dictionary.prior[uniform].sum() >= mass * (1 - 1e-12)
    assert dictionary.is_z2_symmetric or not flips
    np.testing.assert_array_equal(dictionary.squared_norms, dictionary.size**2)
    np.testing.assert_array_equal(dictionary.centers, dictionary.patterns[:, radius, radius])


def test_masses_of_zero_and_one_leave_patterns_out():
    assert len(fp.PatchDictionary.random(uniform_mass=0.0)) == 16
    assert len(fp.PatchDictionary.random(uniform_mass=1.0)) == 2
    assert len(fp.PatchDictionary.random(n_random=0, uniform_mass=1.0)) == 2


def test_explicit_arrays():
    patterns = np.arange(18).reshape(2, 3, 3)
    dictionary = fp.PatchDictionary(patterns, [0.25, 0.75])
    assert dictionary.patterns.dtype == dictionary.prior.dtype == np.float64
    np.testing.assert_array_equal(dictionary.patterns, patterns)
    np.testing.assert_array_equal(dictionary.centers, [4.0, 13.0])
    np.testing.assert_array_equal(dictionary.squared_norms, [204.0, 1581.0])
    np.testing.assert_array_equal(fp.PatchDictionary(patterns).prior, [0.5, 0.5])
    # Rounded probabilities pass and are normalised; the caller's arrays stay the caller's.
    given_prior = np.array([1 / 3, 2 / 3]).round(7)
    dictionary = fp.PatchDictionary(patterns, given_prior)
    assert dictionary.prior.sum() == 1.0
    patterns[0] = -1
    assert dictionary.patterns.min() == 0.0


def test_arrays_are_read_only():
    dictionary = fp.PatchDictionary.random()
    for array in (dictionary.patterns, dictionary.prior):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.5


def test_symmetry_is_of_mass_not_of_lists():
    flip = np.ones((1, 1))
    assert fp.PatchDictionary([flip, -flip, flip], [0.2, 0.5, 0.3]).is_z2_symmetric
    assert not fp.PatchDictionary([flip, -flip], [0.4, 0.6]).is_z2_symmetric
    assert fp.PatchDictionary([0.0 * flip]).is_z2_symmetric
    assert DICTIONARIES["uniform only"].is_z2_symmetric
    assert not DICTIONARIES["unbalanced flips"].is_z2_symmetric


def test_a_dictionary_is_that_of_its_own_arrays(tmp_path):
    rng = np.random.default_rng(1)
    for count in rng.integers(2, 40, 100):
        prior = rng.random(count)
        made = fp.PatchDictionary(rng.standard_normal((count, 3, 3)), prior / prior.sum())
        again = fp.PatchDictionary(made.patterns, made.prior)
        assert again == made
        assert again.digest == made.digest
    made.save(tmp_path / "patterns.npz")
    assert fp.PatchDictionary.load(tmp_path / "patterns.npz").digest == made.digest


def test_the_digest_is_of_the_content():
    patterns = np.random.default_rng(0).normal(size=(4, 3, 3))
    digests = {
        fp.PatchDictionary(patterns).digest,
        fp.PatchDictionary(patterns[:, :, ::-1]).digest,
        fp.PatchDictionary(patterns, [0.1, 0.2, 0.3, 0.4]).digest,
        fp.PatchDictionary(patterns.reshape(-1, 1, 1)).digest,
    }
    assert len(digests) == 4
    assert fp.PatchDictionary(patterns.copy()).digest in digests
    assert repr(fp.PatchDictionary(patterns)).startswith("PatchDictionary(4 patterns of 3x3, not Z2-symmetric, digest ")


ONES = np.ones((2, 3, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fp.PatchDictionary(np.ones((2, 4, 4))), InvalidInputError, r"\(2, 4, 4\); expected .* odd size P"),
        (
            lambda: fp.PatchDictionary(np.ones((2, 3, 5))),
            InvalidInputError,
            r"\(2, 3, 5\); expected \(K, P, P\).*square",
        ),
        (
            lambda: fp.PatchDictionary(np.ones((3, 3))),
            InvalidInputError,
            r"patterns has shape \(3, 3\); expected \(K, P, P\)",
        ),
        (lambda: fp.PatchDictionary(np.ones((0, 3, 3))), InvalidInputError, r"\(0, 3, 3\); expected K >= 1"),
        (lambda: fp.PatchDictionary(np.ones((2, 0, 0))), InvalidInputError, r"\(2, 0, 0\); expected .* odd size P"),
        (lambda: fp.PatchDictionary(ONES * 1j), DtypeError, "patterns has dtype complex128; expected real numbers"),
        (lambda: fp.PatchDictionary(ONES == 1), DtypeError, "patterns has dtype bool; expected real numbers"),
        (
            lambda: fp.PatchDictionary(ONES * np.inf),
            InvalidInputError,
            r"patterns holds inf at index \(0, 0, 0\); expected fin",
        ),
        (
            lambda: fp.PatchDictionary(ONES, [1.0]),
            InvalidInputError,
            r"prior has shape \(1,\); expected \(2,\), one entry",
        ),
        (
            lambda: fp.PatchDictionary(ONES, [[0.5, 0.5]]),
            InvalidInputError,
            r"prior has shape \(1, 2\); expected \(2,\)",
        ),
        (lambda: fp.PatchDictionary(ONES, [1.5, -0.5]), InvalidInputError, r"prior\[1\] is -0.5; expected positive"),
        (lambda: fp.PatchDictionary(ONES, [1.0, 0.0]), InvalidInputError, r"prior\[1\] is 0.0; expected positive"),
        (lambda: fp.PatchDictionary(ONES, [0.5, 0.6]), InvalidInputError, "prior sums to 1.1; expected 1"),
        (
            lambda: fp.PatchDictionary(ONES, [0.5, np.nan]),
            InvalidInputError,
            r"prior holds nan at index \(1,\); expected fin",
        ),
        (lambda: fp.PatchDictionary(ONES, ["a", "b"]), DtypeError, "prior has dtype str.*; expected real numbers"),
        (lambda: fp.PatchDictionary.random(size=4), InvalidInputError, "size is 4; expected an odd pattern size"),
        (lambda: fp.PatchDictionary.random(size=0), InvalidInputError, "size is 0; expected at least 1"),
        (lambda: fp.PatchDictionary.random(size=5.0), DtypeError, "size is 5.0; expected an integer"),
        (lambda: fp.PatchDictionary.random(-1), InvalidInputError, "n_random is -1; expected at least 0"),
        (
            lambda: fp.PatchDictionary.random(0),
            InvalidInputError,
            "n_random is 0 and uniform_mass is 0.9; expected unif",
        ),
        (
            lambda: fp.PatchDictionary.random(uniform_mass=1.1),
            InvalidInputError,
            r"uniform_mass is 1.1; expected .* \[0, 1\]",
        ),
        (
            lambda: fp.PatchDictionary.random(uniform_mass=np.nan),
            InvalidInputError,
            "uniform_mass is nan; expected a finite",
        ),
        (lambda: fp.PatchDictionary.random(seed=-1), InvalidInputError, "seed is -1; expected at least 0"),
    ],
)
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_model_takes_a_dictionary_and_a_schedule():
    with pytest.raises(DtypeError, match="dictionary is a ndarray; expected a PatchDictionary"):
        fp.PatchModel(np.ones((2, 3, 3)))
    with pytest.raises(DtypeError, match="schedule is a float; expected a VPSchedule"):
        fp.PatchModel(fp.PatchDictionary.random(), 1.0)
    assert repr(fp.PatchModel(fp.PatchDictionary.random())).startswith("PatchModel(PatchDictionary(18 patterns of 5x5")


class TestFromCodes:
    def test_is_the_dictionary_of_these_patterns(self):
        written = fp.PatchDictionary.random(seed=3)
        held = fp.PatchDictionary.from_codes(written.codes.astype(float), 5, written.prior)
        assert held == written
        np.testing.assert_array_equal(held.patterns, written.patterns)
        np.testing.assert_array_equal(held.sums, written.patterns.sum(axis=(1, 2)))
        grey = fp.PatchDictionary(np.random.default_rng(0).normal(size=(4, 3, 3)))
        np.testing.assert_array_equal(grey.sums, grey.patterns.sum(axis=(1, 2)))

    @pytest.mark.parametrize(
        ("codes", "size", "message"),
        [
            ([0, 512], 3, r"codes reach outside the whole numbers from 0 to 2\^9 - 1"),
            ([0.5], 3, "codes reach outside the whole numbers"),
            ([np.nan], 3, "codes reach outside the whole numbers"),
            ([[1]], 3, r"codes has shape \(1, 1\)"),
            ([1], 4, "expected .* an odd size"),
            ([1], 9, "size is 9; expected .* 7"),
        ],
    )
    def test_refuses_what_is_no_code(self, codes, size, message):
        with pytest.raises(InvalidInputError, match=message):
            fp.PatchDictionary.from_codes(codes, size)
