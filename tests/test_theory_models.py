"""The theory against the models whose drift it describes: two implementations of the same derivatives."""

import numpy as np
import pytest

import fastpatch as fp
from fastpatch import theory


@pytest.mark.parametrize("sign_flips", [True, False])
def test_dispersion_is_the_patch_models_spectrum_at_zero(sign_flips):
    dictionary = fp.PatchDictionary.random(sign_flips=sign_flips)
    schedule = fp.VPSchedule(beta=0.5)
    k = 2 * np.pi * np.stack(np.meshgrid(np.fft.fftfreq(12), np.fft.rfftfreq(10), indexing="ij"), axis=-1)
    spectrum = fp.PatchModel(dictionary, schedule=schedule).spectrum(np.zeros((12, 10)), 2.3)
    np.testing.assert_allclose(
        theory.dispersion(k, 2.3, dictionary=dictionary, schedule=schedule), spectrum, rtol=0, atol=1e-12
    )


def test_probing_the_patch_models_drift_gives_its_kernel():
    dictionary = fp.PatchDictionary.random()
    kernel = theory.impulse_kernel(fp.PatchModel(dictionary).drift, 2.3, (5, 5))
    np.testing.assert_allclose(kernel, theory.drift_kernel(2.3, dictionary), atol=1e-8)


def test_renormalised_dispersion_is_the_mean_over_white_noise_fields():
    dictionary, t = fp.PatchDictionary.random(), 3.357
    fields = np.random.default_rng(0).normal(size=(50, 40, 40))
    measured = fp.PatchModel(dictionary).mode_derivatives(fields, t, shells=[0, 1, 2])
    k_min = 2 * np.pi / 40
    for direction in range(2):
        k = k_min * np.arange(3)[:, None] * np.eye(2)[direction]
        found = theory.renormalised_dispersion(k, t, patches=theory.GaussianPatches(dictionary))
        spread = measured[..., direction].std(axis=0, ddof=1) / np.sqrt(len(fields))
        assert (np.abs(measured[..., direction].mean(axis=0) - found.value) < 4 * spread).all()


def test_prototype_spectrum_is_the_empirical_models():
    rng = np.random.default_rng(1)
    prototypes, x = rng.normal(size=(3, 6, 6)), rng.normal(size=(6, 6))
    model = fp.EmpiricalModel(prototypes, weights=[0.2, 0.3, 0.5])
    jacobian = theory.prototype_jacobian(x, prototypes, 1.2, weights=[0.2, 0.3, 0.5])
    i = np.arange(6)
    for n in ((0, 0), (1, 0), (2, 1)):
        mode = np.cos(2 * np.pi * (n[0] * i[:, None] + n[1] * i) / 6).ravel()
        quotient = mode @ jacobian @ mode / (mode @ mode)
        assert model.spectrum(x, 1.2)[n] == pytest.approx(quotient, rel=1e-10)
