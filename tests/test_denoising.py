"""Denoisers compared: known errors of linear filters, agreement, choice across halves, and going on after a stop."""

import gzip
import json
import struct
import sys

import numpy as np
import pytest
from image_cases import blobs

import fastpatch as fp
from fastpatch.analysis import fourier_modes
from fastpatch.errors import InvalidInputError, ResultFileError
from fastpatch.image_files import binarised, load_image_file
from fastpatch.models import PatchModel
from fastpatch.models.gaussian_patch import GaussianPatchModel
from fastpatch.models.wiener import WienerModel
from fastpatch.noise import standard_normals
from fastpatch.npz_file import read_npz, write_npz
from fastpatch.studies.denoiser_report import denoiser_report, draw_denoisers
from fastpatch.studies.denoising import compare_denoisers, crossfitted, posterior_mean
from fastpatch.studies.image_denoisers import image_denoisers

TIMES = np.array([2.0, 0.5, 0.1])


def gaussian_images(count, seed=0, side=8):
    """Fields of mean 0.3 with a covariance that is not stationary, and that covariance."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(side * side, 12)) / 4.0
    return 0.3 + (rng.normal(size=(count, 12)) @ mixing.T).reshape(count, side, side), mixing @ mixing.T


def test_the_wiener_filter_has_the_error_of_gaussian_data():
    training, covariance = gaussian_images(20_000)
    held_out, _ = gaussian_images(300, seed=1)
    found = compare_denoisers({"Wiener": WienerModel(training)}, held_out, TIMES)
    powers = np.linalg.eigvalsh(covariance)
    for k, t in enumerate(TIMES):
        alpha2, sigma2 = np.exp(-t), -np.expm1(-t)
        expected = np.sum(powers * sigma2 / (alpha2 * powers + sigma2)) / powers.size
        values = found.mse.sel(denoiser="Wiener").isel(time=k).to_numpy()
        assert values.mean() == pytest.approx(expected, abs=5 * values.std() / np.sqrt(values.size))


def test_the_covariance_of_few_images_has_no_bias():
    sets = np.random.default_rng(3).normal(size=(400, 2, 4, 4))
    found = np.mean([WienerModel(images).covariance for images in sets], axis=0)
    np.testing.assert_allclose(found, np.eye(16), atol=5.0 * np.sqrt(2.0 / 400))


def test_filters_of_stationary_images_are_the_gaussian_model():
    images = blobs(60, side=8)
    everywhere = np.concatenate([np.roll(images, (i, j), axis=(1, 2)) for i in range(8) for j in range(8)])
    stationary = fp.GaussianModel.from_images(everywhere, uniform_mean=True)
    x = np.random.default_rng(0).normal(size=(2, 8, 8))
    for t in (0.1, 2.0):
        np.testing.assert_allclose(WienerModel(everywhere).score(x, t), stationary.score(x, t), rtol=1e-3, atol=1e-3)
    # A patch as large as an odd lattice sees all of it; the mean costs one of as many images as there are shifts.
    odd = blobs(60, side=7)
    whole = np.concatenate([np.roll(odd, (i, j), axis=(1, 2)) for i in range(7) for j in range(7)])
    y = np.random.default_rng(1).normal(size=(7, 7))
    expected = WienerModel(whole).posterior_mean(y, 0.4)
    np.testing.assert_allclose(GaussianPatchModel(odd, 7).posterior_mean(y, 0.4), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", [WienerModel, GaussianPatchModel])
def test_derivatives_are_those_of_the_drift(kind):
    model, x, t = kind(blobs(50, side=9)), np.random.default_rng(4).normal(size=(9, 9)), 0.8
    found = model.mode_derivatives(x, t, shells=(0, 1, 3), diagonal=True)
    modes = fourier_modes(x.shape, (0, 1, 3), diagonal=True).reshape(-1, *x.shape)
    for v, exact in zip(modes, found.ravel(), strict=True):
        difference = np.vdot(v, model.drift(x + 1e-3 * v, t) - model.drift(x - 1e-3 * v, t)) / 2e-3
        assert exact == pytest.approx(difference, rel=1e-9, abs=1e-9)
    spectrum = model.spectrum(x, t)
    np.testing.assert_allclose(spectrum[[0, 1, 3], 0], found[:, 0], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(spectrum[0, [0, 1, 3]], found[:, 1], rtol=1e-10, atol=1e-10)


def test_what_a_comparison_holds():
    training, held_out = blobs(80, side=9), blobs(5, side=9, seed=7).astype(np.float32)
    machine = PatchModel(fp.PatchDictionary.from_images(training, 3))
    found = compare_denoisers(
        {"machine": machine, "Wiener": lambda: WienerModel(training)}, held_out, TIMES, reference="machine", seed=4
    )
    x0, t = held_out[2].astype(np.float64), TIMES[1]
    noise = standard_normals(held_out.shape, seed=4, step=1, dtype="float32")[2]
    x = (np.exp(-t / 2) * held_out[2] + np.sqrt(-np.expm1(-t)) * noise).astype(np.float32)
    m, w = (np.float64(model.posterior_mean(x, t)) for model in (machine, WienerModel(training)))
    one = found.isel(time=1, image=2)
    assert one.mse.sel(denoiser="machine") == pytest.approx(np.mean((m - x0) ** 2), rel=1e-4)
    assert one.pearson.sel(denoiser="Wiener") == pytest.approx(np.corrcoef(m.ravel(), w.ravel())[0, 1], rel=1e-4)
    assert one.r2.sel(denoiser="Wiener") == pytest.approx(
        1 - np.sum((m - w) ** 2) / np.sum((m - m.mean()) ** 2), rel=1e-3
    )
    np.testing.assert_allclose(found.r2.sel(denoiser="machine"), 1.0)
    assert (found.seconds > 0.0).all()
    assert "machine" in json.loads(found.attrs["provenance"])["run"]["denoisers"]


def test_a_score_gives_the_posterior_mean():
    model = fp.PatchModel(fp.PatchDictionary.random())

    class OnlyScore:
        schedule = model.schedule
        score = staticmethod(model.score)

    x = np.random.default_rng(0).normal(size=(8, 8))
    np.testing.assert_allclose(posterior_mean(OnlyScore(), x, 0.7), model.posterior_mean(x, 0.7), atol=1e-12)


def test_an_interrupted_comparison_goes_on(tmp_path):
    training, held_out = blobs(40, side=8), blobs(3, side=8, seed=3)
    makers = {"Wiener": lambda: WienerModel(training), "patches": lambda: GaussianPatchModel(training, 3)}

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare_denoisers({**makers, "patches": stop}, held_out, TIMES, folder=tmp_path)
    makers["Wiener"] = stop
    resumed = compare_denoisers(makers, held_out, TIMES, folder=tmp_path)
    whole = compare_denoisers({**makers, "Wiener": WienerModel(training)}, held_out, TIMES)
    np.testing.assert_array_equal(resumed.mse, whole.mse)
    # Of one name, but another model, or made of something else: not the kept one.
    other = compare_denoisers({"Wiener": WienerModel(training[:20])}, held_out, TIMES, folder=tmp_path)
    assert float(abs(other.mse - whole.mse.sel(denoiser=["Wiener"])).max()) > 1e-3
    with pytest.raises(KeyboardInterrupt):
        compare_denoisers(makers, held_out, TIMES, versions={"Wiener": "second"}, folder=tmp_path)
    with pytest.raises(InvalidInputError, match="another comparison of denoisers, with seed 0"):
        compare_denoisers(makers, held_out, TIMES, seed=1, folder=tmp_path)


def test_sizes_are_chosen_on_other_images():
    import xarray as xr

    # "a" is better on even images, "b" on odd ones: each half gets what the other chose, the worse one.
    error = np.zeros((2, 1, 6))
    error[0, 0, 1::2] = error[1, 0, 0::2] = 1.0
    dataset = xr.Dataset({"mse": (("denoiser", "time", "image"), error)}, {"denoiser": ["a", "b"], "time": [0.5]})
    values, choice = crossfitted(dataset, ["a", "b"])
    np.testing.assert_array_equal(values, np.ones((1, 6)))
    assert choice.to_numpy().tolist() == [["a"], ["b"]]


def test_the_schedule_is_that_of_all_and_in_the_table(tmp_path):
    training, held_out = blobs(40, side=8), blobs(3, side=8, seed=3)
    fast, slow = (fp.VPSchedule(beta) for beta in (4.0, 1.0))
    both = {"Wiener": WienerModel(training, fast), "patches": lambda: GaussianPatchModel(training, 3, fast)}
    found = compare_denoisers(both, held_out, TIMES, folder=tmp_path / "kept")
    np.testing.assert_allclose(found["alpha"], fast.alpha(TIMES))
    np.testing.assert_allclose(found["sigma"], np.sqrt(fast.sigma2(TIMES)))
    ratio = f"{np.sqrt(np.expm1(4.0 * TIMES[0])):.3g}"
    assert ratio in denoiser_report(found)
    # Results of before are read by the default schedule.
    before = found.drop_vars(["alpha", "sigma"])
    assert f"{np.sqrt(np.expm1(TIMES[0])):.3g}" in denoiser_report(before)
    # So are kept parts of before, and those that know their schedule are compared.
    for path in (tmp_path / "kept").glob("**/*.npz"):
        write_npz(path, {name: values for name, values in read_npz(path).items() if name != "level"})
    again = compare_denoisers(both, held_out, TIMES, folder=tmp_path / "kept")
    assert "alpha" not in again.coords
    np.testing.assert_array_equal(again.mse, found.mse)
    for kept in (None, tmp_path / "other", tmp_path / "other"):
        with pytest.raises(InvalidInputError, match="the denoiser 'slow' has another schedule"):
            compare_denoisers({**both, "slow": WienerModel(training, slow)}, held_out, TIMES, folder=kept)


def test_one_image_has_a_table_and_no_choice_of_a_size():
    training, held_out = blobs(20, side=10), blobs(1, side=10, seed=7).astype(np.float32)
    sizes = {f"patches {P}": PatchModel(fp.PatchDictionary.from_images(training, P)) for P in (3, 5)}
    found = compare_denoisers(sizes, held_out, TIMES[:2])
    text = denoiser_report(found)
    assert "patches 5" in text
    assert "P(t)" not in text
    with pytest.raises(InvalidInputError, match="there is 1 image; expected two"):
        crossfitted(found, list(sizes))


def test_the_table_and_the_figure_hold_every_denoiser():
    training, held_out = blobs(80, side=10), blobs(4, side=10, seed=7).astype(np.float32)
    makers = image_denoisers(training.astype(np.float32))
    found = compare_denoisers(makers, held_out, TIMES[:2], reference="Wiener")
    text = denoiser_report(found)
    assert all(text.count(name) >= 3 for name in makers)
    assert "patches P(t)" in text
    assert len(draw_denoisers(found).axes) == 2
    # Held out or not makes the difference for the machine that stores the images.
    own = compare_denoisers({"whole images": makers["whole images"]}, training[:4], [0.05, 0.04]).mse
    assert float(own.max()) < 1e-3 < float(found.mse.sel(denoiser="whole images").min())


def test_reading_images(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, size=(3, 6, 5), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    header = bytes([0, 0, 8, 3]) + struct.pack(">3I", *images.shape)
    (tmp_path / "plain-idx3-ubyte").write_bytes(header + images.tobytes())
    (tmp_path / "packed.gz").write_bytes(gzip.compress(header + images.tobytes()))
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    pil = pytest.importorskip("PIL.Image")
    for n, image in enumerate(images):
        pil.fromarray(image).save(pictures / f"{n}.png")
    for name in ("images.npy", "plain-idx3-ubyte", "packed.gz", "pictures"):
        np.testing.assert_array_equal(load_image_file(tmp_path / name), images)
    assert set(np.unique(binarised(images, 127))) == {-1, 1}
    assert binarised(np.array([[[127, 128]]]), 127).tolist() == [[[-1, 1]]]
    pil.fromarray(images[0].T).save(pictures / "9.png")
    with pytest.raises(InvalidInputError, match="one shape"):
        load_image_file(pictures)
    (tmp_path / "short").write_bytes(header + images.tobytes()[:-1])
    (tmp_path / "text").write_text("no images")
    (tmp_path / "empty").mkdir()
    for name in ("short", "text", "empty", "missing"):
        with pytest.raises(ResultFileError, match=name):
            load_image_file(tmp_path / name)
    np.save(tmp_path / "flat.npy", images[0])
    with pytest.raises(InvalidInputError, match="N, H, W"):
        load_image_file(tmp_path / "flat.npy")


def test_the_commands(tmp_path, capsys):
    from typer.testing import CliRunner

    from fastpatch.cli import app

    for name, seed in (("train", 0), ("test", 1)):
        np.save(tmp_path / f"{name}.npy", np.where(blobs(60, side=12, seed=seed) > 0, 200, 30).astype(np.uint8))
    runner, data = CliRunner(), ["--images", str(tmp_path / "train.npy")]
    held_out = ["--held-out", str(tmp_path / "test.npy"), "--count", "3", "--levels", "2"]
    arguments = [*held_out, "--out", str(tmp_path / "c")]
    done = runner.invoke(app, ["images", "compare", *data, *arguments, "--quiet"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "co-located patches 5" in done.output
    assert {"denoisers.nc", "denoisers.png"} <= {file.name for file in (tmp_path / "c").iterdir()}
    data += ["--shape", "12x14"]
    arguments = ["--t-max", "3", "--steps", "60", "--trajectories", "2", "--out", str(tmp_path / "r"), "--quiet"]
    done = runner.invoke(app, ["images", "run", *data, *arguments], catch_exceptions=False)
    assert done.exit_code == 0
    assert "Gaussian null" in done.output
    assert {"result.nc", "null.nc", "comparison.png", "figure3.png"} <= {
        file.name for file in (tmp_path / "r").iterdir()
    }
    stored = fp.load(tmp_path / "r" / "result.nc")
    assert (stored.sizes["y"], stored.sizes["x"]) == (12, 14)
    with pytest.raises(InvalidInputError, match="expected both or neither"):
        runner.invoke(app, ["images", "compare", *data[:2]], catch_exceptions=False)


def test_weights_are_asked_for_before_anything_runs(tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="torch is not installed")
    from typer.testing import CliRunner

    from fastpatch.cli import app

    images = tmp_path / "images.npy"
    np.save(images, blobs(4, side=12))
    # The package's name for the module is the function's.
    monkeypatch.setattr(sys.modules["fastpatch.cli.images.run"], "training_images", lambda *_: blobs(4, side=12))
    arguments = ["images", "run", "--weights", str(tmp_path / "none.safetensors"), "--out", str(tmp_path / "r")]
    with pytest.raises(ResultFileError, match=r"none\.safetensors"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    for without in (["--images", str(images)], ["--shape", "14"], ["--no-unet"]):
        with pytest.raises(InvalidInputError, match="--weights is given for a run without the U-Net"):
            CliRunner().invoke(app, [*arguments, *without], catch_exceptions=False)
    assert not (tmp_path / "r").exists()


def test_other_networks_stand_beside(tmp_path):
    pytest.importorskip("torch", reason="torch is not installed")
    from typer.testing import CliRunner

    from fastpatch.cli import app
    from fastpatch.neural.unet.network import UNet
    from fastpatch.neural.unet.weights import save_weights

    for name, seed in (("train", 0), ("test", 1)):
        np.save(tmp_path / f"{name}.npy", np.where(blobs(20, side=8, seed=seed) > 0, 200, 30).astype(np.uint8))
    for name, prediction in (("paper", "epsilon"), ("other", "v")):
        save_weights(tmp_path / f"{name}.safetensors", UNet(prediction=prediction), {"variant": "binarised"})
    arguments = ["images", "compare", "--images", str(tmp_path / "train.npy"), "--held-out", str(tmp_path / "test.npy")]
    arguments += ["--count", "2", "--levels", "2", "--weights", str(tmp_path / "paper.safetensors"), "--only", "U-Net"]
    arguments += ["--beside", str(tmp_path / "other.safetensors"), "--only", "other", "--no-flows", "--quiet"]
    done = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "c")], catch_exceptions=False)
    assert done.exit_code == 0
    found = fp.load(tmp_path / "c" / "denoisers.nc")
    assert found["denoiser"].to_numpy().tolist() == ["U-Net", "other"]
    assert float(abs(found["distance"].sel(denoiser="other")).min()) > 0.0
    with pytest.raises(InvalidInputError, match="whose name is taken"):
        CliRunner().invoke(app, [*arguments, "--beside", str(tmp_path / "other.safetensors")], catch_exceptions=False)
