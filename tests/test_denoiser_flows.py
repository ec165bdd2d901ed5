"""Deterministic flows of denoisers: closed forms, agreement on the way and at the end, going on after a stop."""

import numpy as np
import pytest
from image_cases import blobs

import fastpatch as fp
from fastpatch.errors import InvalidInputError
from fastpatch.models.wiener import WienerModel
from fastpatch.noise import standard_normals
from fastpatch.studies.denoiser_flows import compare_flows, flow
from fastpatch.studies.denoiser_report import draw_ends, flow_report

TIMES = fp.log_time_grid(6.0, 0.05, 8)


def test_the_flow_of_one_image_is_exact_in_any_step():
    prototype = np.sign(np.random.default_rng(4).standard_normal((1, 6, 7)))
    model, x = fp.EmpiricalModel(prototype), np.random.default_rng(1).standard_normal((2, 6, 7))
    states, means = flow(model, x, TIMES)
    alpha, sigma = np.exp(-TIMES / 2), np.sqrt(-np.expm1(-TIMES))
    kept = (x - alpha[0] * prototype) / sigma[0]
    np.testing.assert_allclose(states, np.stack([a * prototype + s * kept for a, s in zip(alpha, sigma, strict=True)]))
    np.testing.assert_allclose(means, np.broadcast_to(prototype, means.shape))


def test_the_flow_of_gaussian_data_converges_to_its_law():
    model = fp.GaussianModel(np.full((4, 3), 9.0))
    x = np.random.default_rng(2).standard_normal((4, 4))
    errors = []
    for steps in (40, 80, 160):
        times = fp.log_time_grid(6.0, 0.05, steps)
        # The flow keeps x over the width of its marginal.
        width = np.sqrt(9.0 * np.exp(-times) - np.expm1(-times))
        errors.append(np.abs(flow(model, x, times)[0][-1] - width[-1] / width[0] * x).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert ((orders > 0.8) & (orders < 1.2)).all()


@pytest.fixture(scope="module")
def makers():
    images = blobs(40, side=8)
    machine = fp.PatchModel(fp.PatchDictionary.from_images(images, 3))
    return {"machine": machine, "Wiener": WienerModel(images), "again": lambda: machine, "few": lambda: machine}


def test_agreement_along_the_way_and_at_the_end(makers):
    found = compare_flows(makers, (8, 8), 12, TIMES, reference="machine", counts={"few": 3}, seed=5)
    np.testing.assert_allclose(found["along_pearson"].sel(denoiser="again"), 1.0, atol=1e-6)
    np.testing.assert_array_equal(found["end"].sel(denoiser="again"), found["end"].sel(denoiser="machine"))
    assert np.isfinite(found["end_r2"].sel(denoiser="few")).sum() == 3
    np.testing.assert_allclose(found["flow_time"], TIMES[::2])
    # By hand: the Wiener filter on the state that the machine's third flow passes at the fifth time.
    start = standard_normals((12, 8, 8), seed=5, step=0, dtype=np.dtype("float32"))
    states, means = flow(makers["machine"], start[2:3], TIMES)
    said = makers["Wiener"].posterior_mean(states[4, 0], TIMES[4])
    expected = np.corrcoef(said.ravel(), means[4, 0].ravel())[0, 1]
    found_here = found["along_pearson"].sel(denoiser="Wiener").isel(flow_time=2, image=2)
    assert float(found_here) == pytest.approx(expected, rel=1e-4)
    ends = found["end"].sel(denoiser="machine").to_numpy()
    other = float(found["end_other"].sel(denoiser="again").isel(image=11))
    assert other == pytest.approx(np.corrcoef(ends[11].ravel(), ends[0].ravel())[0, 1], rel=1e-4)
    assert "few (3 images)" in flow_report(found)
    (axes,) = draw_ends(found).axes
    assert [label.get_text().split("\n")[0] for label in axes.get_yticklabels()] == found[
        "denoiser"
    ].to_numpy().tolist()
    assert np.asarray(axes.images[0].get_array()).shape == (4 * (8 + 2), 10 * (8 + 2), 3)


def test_interrupted_flows_go_on(makers, tmp_path):
    def stop():
        raise KeyboardInterrupt

    chosen = {name: makers[name] for name in ("machine", "Wiener")}

    def compare(denoisers, times=TIMES, version="first"):
        found = {"versions": {"machine": version}, "folder": tmp_path}
        return compare_flows(denoisers, (8, 8), 12, times, reference="machine", **found)

    with pytest.raises(KeyboardInterrupt):
        compare({**chosen, "Wiener": stop})
    resumed = compare({**chosen, "machine": stop})
    whole = compare_flows(chosen, (8, 8), 12, TIMES, reference="machine")
    np.testing.assert_array_equal(resumed["end"], whole["end"])
    np.testing.assert_array_equal(resumed["along_r2"], whole["along_r2"])
    # Another model of that name is another; the Wiener filter's own flows are kept, its word on the states is not.
    with pytest.raises(KeyboardInterrupt):
        compare({**chosen, "machine": stop}, version="second")
    renewed = compare({**chosen, "machine": lambda: makers["Wiener"]}, version="second")
    np.testing.assert_array_equal(renewed["end"].sel(denoiser="Wiener"), whole["end"].sel(denoiser="Wiener"))
    assert float(renewed["along_r2"].sel(denoiser="Wiener").min()) == 1.0
    with pytest.raises(InvalidInputError, match="another comparison of flows, with times"):
        compare({**chosen, "machine": stop}, TIMES[:5])


def test_what_does_not_fit(makers):
    with pytest.raises(InvalidInputError, match="reference is 'U-Net'"):
        compare_flows(makers, (8, 8), 3, TIMES, reference="U-Net")
    with pytest.raises(InvalidInputError, match="count"):
        compare_flows(makers, (8, 8), 1, TIMES, reference="machine")
    with pytest.raises(InvalidInputError, match=r"counts\['machine'\] is 2; expected all 4 flows"):
        compare_flows(makers, (8, 8), 4, TIMES, reference="machine", counts={"machine": 2})
    other = WienerModel(blobs(40, side=8), fp.VPSchedule(4.0))
    with pytest.raises(InvalidInputError, match="the denoiser 'other' has another schedule"):
        compare_flows({**makers, "other": lambda: other}, (8, 8), 3, TIMES, reference="machine")
