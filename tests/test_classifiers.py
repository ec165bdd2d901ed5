"""The scoring classifiers: what they accept, what their probabilities are worth, and which networks they fit."""

import json
import os
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from fastpatch.errors import (  # noqa: E402
    BackendUnavailableError,
    DtypeError,
    FastpatchError,
    InvalidInputError,
    ResultFileError,
)
from fastpatch.neural.classifiers import (  # noqa: E402
    DINOv2,
    FashionClassifier,
    check_labels,
    fashion,
)
from fastpatch.neural.classifiers import training as module  # noqa: E402
from fastpatch.neural.classifiers.calibration import accuracy, calibration_error, fit_temperature, log_loss  # noqa: E402
from fastpatch.neural.classifiers.dinov2 import preprocess  # noqa: E402
from fastpatch.neural.classifiers.fashion import shipped_classifier  # noqa: E402
from fastpatch.neural.classifiers.training import ClassifierSettings, train_classifier  # noqa: E402
from fastpatch.neural.data import CLASS_NAMES, image_hash, load_images, load_labels, pad_images  # noqa: E402
from fastpatch.neural.tensor_file import read_card  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SETTINGS = ClassifierSettings(epochs=2, batch_size=16, held_out=20, seed=3)


def bars(n, seed=0):
    """Bright bars whose length is the class: five classes that are easily told apart."""
    rng = np.random.default_rng(seed)
    classes = np.arange(n) % 5
    images = np.full((n, 1, 28, 28), -1.0, np.float32)
    for image, label, row in zip(images, classes, rng.integers(0, 22, size=n), strict=True):
        image[0, row : row + 6, 2 : 7 + 5 * label] = 1.0
    return images + rng.normal(0.0, 0.05, images.shape).astype(np.float32), classes


def run(out, settings=SETTINGS, **options):
    return train_classifier(*bars(60), *bars(30, seed=1), settings, out, device="cpu", **options)


def test_calibration_error_of_known_cases():
    """Always sure and sometimes wrong; fair coins at 0.5; a confidence of 0.8 that is right half the time."""
    sure = np.array([[20.0, 0.0]] * 4)
    assert calibration_error(sure, np.array([0, 0, 0, 1])) == pytest.approx(0.25, abs=1e-6)
    assert calibration_error(np.zeros((4, 2)), np.array([0, 0, 1, 1])) == pytest.approx(0.0)
    likely = np.log(np.array([[0.8, 0.2]] * 4))
    assert calibration_error(likely, np.array([0, 0, 1, 1])) == pytest.approx(0.3)
    assert calibration_error(np.concatenate([sure, likely]), np.array([0, 0, 0, 1, 0, 0, 1, 1])) == pytest.approx(0.275)


def test_temperature_undoes_a_known_overconfidence():
    rng = np.random.default_rng(0)
    logits = rng.normal(0.0, 1.5, (4000, 5))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    classes = np.array([rng.choice(5, p=row) for row in probabilities])
    assert fit_temperature(3.0 * logits, classes) == pytest.approx(3.0, rel=0.1)
    assert accuracy(3.0 * logits, classes) == accuracy(logits, classes)
    assert log_loss(logits, classes) < log_loss(3.0 * logits, classes)
    assert calibration_error(logits, classes) < 0.03 < calibration_error(3.0 * logits, classes)


def test_training_learns_and_its_card_agrees_with_the_weights(tmp_path):
    images, classes = bars(260)
    test_images, test_classes = bars(100, seed=1)
    settings = replace(SETTINGS, epochs=5, held_out=60)
    path = train_classifier(images, classes, test_images, test_classes, settings, tmp_path, device="cpu")
    classifier = FashionClassifier.load(path)
    logits = classifier.logits(torch.from_numpy(test_images)).numpy()
    card = classifier.card
    assert accuracy(logits, test_classes) == card["test_accuracy"] > 0.8
    assert calibration_error(logits, test_classes) == pytest.approx(card["test_calibration_error"], abs=1e-5)
    assert card["command"] is None  # the command line trains on Fashion-MNIST, not on these images
    assert classifier.describe()["test_accuracy"] == card["test_accuracy"]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("steps", [1, 3, 4])
def test_resumes_exactly_after_any_step(tmp_path, monkeypatch, steps):
    whole = run(tmp_path / "whole")
    step, done = module._Session._step, []

    def fatal(self, chosen):
        if len(done) == steps:
            raise Killed
        done.append(chosen)
        return step(self, chosen)

    with monkeypatch.context() as patch:
        patch.setattr(module._Session, "_step", fatal)
        with pytest.raises(Killed):
            run(tmp_path / "parts", checkpoint_minutes=0.0)
    resumed = run(tmp_path / "parts")
    images = torch.from_numpy(bars(10)[0])
    found, expected = (FashionClassifier.load(path).logits(images) for path in (resumed, whole))
    assert torch.equal(found, expected)
    assert read_card(resumed)["loss_per_epoch"] == read_card(whole)["loss_per_epoch"]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return FashionClassifier.load(run(tmp_path_factory.mktemp("classifier")))


def test_a_perceptron_learns_the_same_classes_and_files_are_told_apart(tmp_path):
    path = run(tmp_path, replace(SETTINGS, architecture="perceptron", epochs=20))
    found = FashionClassifier.load(path)
    assert found.card["architecture"]["name"] == "Fashion-MNIST perceptron"
    images, classes = bars(60)
    assert accuracy(found.logits(torch.from_numpy(images)).numpy(), classes) > 0.4  # chance is 0.2
    with pytest.raises(InvalidInputError, match="architecture is 'oracle'"):
        ClassifierSettings(architecture="oracle")
    with pytest.raises(InvalidInputError, match="architecture is 'oracle'"):
        shipped_classifier("oracle")


def test_padding_batches_and_overshoot_change_nothing(classifier, monkeypatch):
    monkeypatch.setattr(fashion, "_BATCH", 20)
    images = bars(50)[0]
    logits = classifier.logits(torch.from_numpy(images))
    assert logits.shape == (50, 10)
    assert logits.dtype == torch.float32
    assert torch.equal(classifier.logits(torch.from_numpy(pad_images(images))), logits)
    np.testing.assert_allclose(classifier.logits(torch.from_numpy(images[45:])), logits[45:], atol=1e-5)
    clipped = torch.from_numpy(images.clip(-1.0, 1.0))
    assert torch.equal(classifier.logits(clipped), logits)


def test_refuses_images_it_cannot_score(classifier):
    for shape, message in (
        ((2, 3, 32, 32), r"images have shape \(2, 3, 32, 32\); expected \(B, C, H, W\) with C = 1"),
        ((2, 1, 64, 64), "images have 64 x 64 pixels; expected 28 x 28, or 32 x 32"),
        ((1, 28, 28), r"images have shape \(1, 28, 28\)"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            classifier.logits(torch.zeros(shape))
    with pytest.raises(DtypeError, match=r"images have dtype torch\.uint8"):
        classifier.logits(torch.zeros((1, 1, 28, 28), dtype=torch.uint8))


def test_labels_must_match_the_network(classifier):
    check_labels(classifier, SimpleNamespace(label_dim=10))
    with pytest.raises(InvalidInputError, match=r"has 10 labels \(T-shirt/top, .*but the network has 1000 classes"):
        check_labels(classifier, SimpleNamespace(label_dim=1000))


def test_refuses_other_files_and_unsuitable_training_sets(tmp_path, classifier):
    path = run(tmp_path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ResultFileError, match="is not a readable safetensors file"):
        FashionClassifier.load(path)
    images, classes = bars(30)
    for arguments, message in (
        ((images, classes + 6, images, classes), r"labels range from 6 to 10; expected 0 \.\.\. 9"),
        ((images, classes - 1, images, classes), r"labels range from -1 to 3; expected 0 \.\.\. 9"),
        ((images, classes, images, classes[:4]), r"test_labels has shape \(4,\)"),
        ((images[:, :, :, :27], classes, images, classes), "28 x 27 pixels have no centre in 32 x 32"),
        ((images[:20], classes[:20], images, classes), "held_out is 20 of 20 images"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            train_classifier(*arguments, SETTINGS, tmp_path, device="cpu")
    with pytest.raises(InvalidInputError, match=r"learning_rate is 2\.0"):
        ClassifierSettings(learning_rate=2.0)


@pytest.mark.parametrize(
    ("count", "deviation"),
    [(1000, 4.0 * np.sqrt(0.93 * 0.07 / 1000)), pytest.param(10000, 3e-4, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize(("architecture", "least"), [("convolutional", 0.92), ("perceptron", 0.87)])
def test_shipped_classifier_scores_the_real_test_set_as_its_card_says(count, deviation, architecture, least):
    """All of it, or so many images that another accuracy would differ by more than chance."""
    try:
        path = shipped_classifier(architecture)
        images, classes = load_images("test", "grey", download=False), load_labels("test")
    except FastpatchError as error:
        pytest.skip(str(error))
    classifier = FashionClassifier.load(path)
    assert classifier.labels == CLASS_NAMES
    assert classifier.card["data_sha256"] == image_hash("train")
    assert path.stat().st_size < 2e6
    assert classifier.card["test_accuracy"] > least
    logits = classifier.logits(torch.from_numpy(images[:count])).numpy()
    assert accuracy(logits, classes[:count]) == pytest.approx(classifier.card["test_accuracy"], abs=deviation)
    error = calibration_error(logits, classes[:count])
    assert error == pytest.approx(classifier.card["test_calibration_error"], abs=max(deviation, 1e-3))


def test_preprocessing_of_a_smooth_image_keeps_its_values():
    """A ramp is a ramp after bicubic interpolation; grey means equal channels before ImageNet's normalisation."""
    ramp = torch.linspace(-0.5, 0.5, 64).expand(1, 1, 64, 64)
    out = preprocess(ramp)
    assert out.shape == (1, 3, 224, 224)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    back = (out * deviation[:, None, None] + mean[:, None, None])[0]
    pixel = (np.arange(224) + 0.5) / 224 * 64 - 0.5
    expected = 0.5 + 0.5 * (-0.5 + pixel / 63)
    inner = slice(12, -12)
    for channel in back.numpy():
        np.testing.assert_allclose(channel[100, inner], expected[inner], atol=2e-4)
    bounds = preprocess(torch.tensor([[-3.0, 3.0]]).repeat(8, 4)[None, None])
    assert float((bounds * deviation[:, None, None] + mean[:, None, None]).min()) >= -1e-6


@pytest.fixture(scope="module")
def dinov2_directory(tmp_path_factory):
    """A randomly initialised Dinov2 of a few thousand weights, saved as the published one is."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    path = tmp_path_factory.mktemp("dinov2")
    config = transformers.Dinov2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        id2label={index: f"class {index}" for index in range(12)},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = transformers.Dinov2ForImageClassification(config)
        torch.nn.init.normal_(net.classifier.weight)
    net.save_pretrained(path)
    return path, net.eval()


def test_dinov2_loads_offline_and_scores_as_transformers_does(dinov2_directory):
    path, net = dinov2_directory
    classifier = DINOv2(path, batch=2)
    assert classifier.labels == tuple(f"class {index}" for index in range(12))
    images = torch.from_numpy(np.random.default_rng(0).uniform(-1.0, 1.0, (3, 3, 64, 64)).astype(np.float32))
    logits = classifier.logits(images)
    with torch.no_grad():
        np.testing.assert_allclose(logits, net(preprocess(images)).logits, atol=1e-5)
    assert float((logits[0] - logits[1]).abs().max()) > 1e-3
    grey = images[:, :1]
    np.testing.assert_allclose(classifier.logits(grey), classifier.logits(grey.repeat(1, 3, 1, 1)), atol=1e-6)
    json.dumps(classifier.describe())
    assert len(classifier.describe()["weights_sha256"]) == 64
    with pytest.raises(InvalidInputError, match="C = 1 or 3"):
        classifier.logits(torch.zeros(1, 2, 8, 8))


def test_dinov2_refuses_other_directories(dinov2_directory, tmp_path, monkeypatch):
    source, _ = dinov2_directory
    with pytest.raises(ResultFileError, match=r"has no config\.json and no model\.safetensors; expected the files of"):
        DINOv2(tmp_path)
    (tmp_path / "config.json").write_bytes((source / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes((source / "model.safetensors").read_bytes()[:5000])
    with pytest.raises(ResultFileError, match="is not a Dinov2 image classifier"):
        DINOv2(tmp_path)
    (tmp_path / "model.safetensors").write_bytes((source / "model.safetensors").read_bytes())
    config = json.loads((source / "config.json").read_text())
    for change in ({"model_type": "vit"}, {"num_hidden_layers": 3}):
        (tmp_path / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(ResultFileError, match="expected a Dinov2 image classifier"):
            DINOv2(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(BackendUnavailableError, match=r"DINOv2 needs transformers.*pip install .fastpatch\[imagenet\]"):
        DINOv2(source)
