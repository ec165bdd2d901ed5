"""Files of EDM2 networks: what was written is read back bit for bit, from safetensors and from snapshots alike."""

import hashlib
import json
import random

import numpy as np
import pytest
from edm2_cases import random_network, reference, shared_file
from pickles import pickled
from snapshots import snapshot, state_of
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from safetensors.torch import load_file, save_file  # noqa: E402

from fastpatch.cli.edm2 import app  # noqa: E402
from fastpatch.errors import FastpatchError, InvalidInputError, OutputError, ResultFileError  # noqa: E402
from fastpatch.neural.edm2 import EDM2Network, convert, load, network_file, read_card, save_network  # noqa: E402
from fastpatch.neural.edm2.releases import RELEASES  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SMALLEST = {
    "img_resolution": 4, "model_channels": 2, "channels_per_head": 2, "attn_resolutions": [2], "logvar_channels": 5,
}  # fmt: skip


@pytest.fixture(scope="module")
def net():
    return random_network(**SMALLEST)


@pytest.fixture
def pickle_file(tmp_path, net):
    """A released snapshot of ``net``, in half precision."""
    path = tmp_path / "net.pkl"
    path.write_bytes(pickled(snapshot(net)))
    return path


def output(net):
    x = torch.linspace(-1.0, 1.0, 2 * net.img_resolution**2).reshape(2, 1, net.img_resolution, net.img_resolution)
    with torch.no_grad():
        return net(x, torch.tensor([0.3, 2.0]), torch.tensor([0, 2]))


def assert_same_state(found, expected, dtype):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == dtype
        assert torch.equal(found[name], tensor.to(dtype)), name


class TestSafetensors:
    def test_round_trip(self, net, tmp_path):
        path = tmp_path / "net.safetensors"
        save_network(path, net, {"epochs": 3, "labels": ["a", "b", "c"]})
        loaded = load(path)
        assert_same_state(loaded.state_dict(), net.state_dict(), torch.float32)
        assert loaded.architecture == net.architecture
        assert loaded.card == read_card(path)
        assert loaded.card == {"architecture": {"name": "EDM2", **net.architecture}, "epochs": 3, "labels": [*"abc"]}
        assert not loaded.training
        assert not any(module.training for module in loaded.modules())
        torch.testing.assert_close(output(loaded), output(net), rtol=1e-4, atol=1e-5)  # two layouts round apart
        assert [entry.name for entry in tmp_path.iterdir()] == ["net.safetensors"]

    def test_half_precision_in_the_file_only(self, net, tmp_path):
        path = tmp_path / "net.safetensors"
        save_network(path, net, {}, dtype=torch.float16)
        assert {tensor.dtype for tensor in load_file(path).values()} == {torch.float16}
        found = load(path).state_dict()
        assert_same_state(found, {key: value.half().float() for key, value in net.state_dict().items()}, torch.float32)

    def test_other_files(self, net, tmp_path):
        path = tmp_path / "net.safetensors"
        with pytest.raises(ResultFileError, match=r"net.safetensors does not exist; expected a safetensors file"):
            load(path)
        save_network(path, net, {})
        content = path.read_bytes()
        for damaged in (content[:-9], content[:60]):
            path.write_bytes(damaged)
            with pytest.raises(ResultFileError, match="is not a readable safetensors file"):
                load(path)
        for other in (b"", b"PK\x03\x04 a zip archive", b"<!DOCTYPE html>", content[:8]):
            path.write_bytes(other)
            with pytest.raises(ResultFileError, match="begins like neither safetensors nor a pickle; expected a safe"):
                load(path)
        with pytest.raises(ResultFileError, match="does not exist"):
            load(tmp_path)

    @pytest.mark.parametrize(
        ("architecture", "message"),
        [
            ({"name": "U-Net of App. D.3"}, "expected one named 'EDM2'"),
            ("EDM2", "holds the architecture 'EDM2'; expected one named"),
            ({"num_blocks": 10**9}, "none of EDM2 .2000000000 blocks for"),
            ({"num_blocks": "many"}, "none of EDM2 .invalid literal"),
            ({"num_blocks": []}, "none of EDM2"),
            ({"channel_mult": 3}, "none of EDM2"),
            ({"channel_mult": [1] * 1000}, "none of EDM2 .1000 blocks for"),
            ({"channel_mult": [1, 2**61]}, "none of EDM2"),
            ({"channel_mult": [1, 2**80]}, "none of EDM2"),
            ({"model_channels": 2**62}, "none of EDM2"),
            ({"label_dim": 2**70}, "none of EDM2"),
            ({"label_dim": -1}, "none of EDM2 .label_dim is -1"),
            ({"clip_act": 10**400}, "none of EDM2"),
            ({"layers": 3}, "none of EDM2 .*unexpected keyword argument 'layers'"),
            ({"img_resolution": None}, "none of EDM2 .img_resolution is None"),
            ({"label_dim": 4}, r"emb_label.weight has shape \(4, 3\), not \(4, 4\); expected the weights"),
            ({"label_dim": 0}, "unet.emb_label.weight is unknown"),
            ({"attn_resolutions": []}, "is unknown and 5 more such tensors"),
            ({"img_resolution": 8}, r"enc.8x8_conv.weight is missing and \d+ more"),
        ],
        ids=repr,
    )
    def test_other_architectures(self, net, tmp_path, architecture, message):
        path = tmp_path / "net.safetensors"
        save_network(path, net, {})
        known = read_card(path)["architecture"]
        card = {"architecture": {**known, **architecture} if isinstance(architecture, dict) else architecture}
        save_file(load_file(path), path, metadata={"fastpatch": json.dumps(card)})
        with pytest.raises(ResultFileError, match=message):
            load(path)


class TestSnapshot:
    @pytest.mark.parametrize("dtype", ["<f2", "<f4"])
    def test_same_tensors_and_function(self, net, tmp_path, dtype):
        path = tmp_path / "net.pkl"
        path.write_bytes(pickled(snapshot(net, dtype)))
        loaded = load(path)
        stored = {name: tensor.numpy().astype(dtype).astype("<f4") for name, tensor in net.state_dict().items()}
        assert_same_state(loaded.state_dict(), {key: torch.from_numpy(v) for key, v in stored.items()}, torch.float32)
        assert loaded.architecture == net.architecture
        assert loaded.card["source"] == "net.pkl"
        assert loaded.card["source_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert loaded.card["dtype"] == {"<f2": "float16", "<f4": "float32"}[dtype]
        assert "licence" not in loaded.card
        if dtype == "<f4":
            torch.testing.assert_close(output(loaded), output(net), rtol=1e-4, atol=1e-5)  # two layouts round apart

    @pytest.mark.parametrize(
        ("file", "expected"),
        [("edm2-tiny.pkl", "denoised_float32"), ("edm2-tiny-guide.pkl", "guide_denoised_float32")],
    )
    def test_released_structure(self, file, expected):
        loaded, numbers = load(shared_file(file)), reference()
        inputs = [torch.from_numpy(numbers[key]) for key in ("x_noisy", "sigma", "class_index")]
        with torch.no_grad():
            found = loaded(*inputs).numpy()
        np.testing.assert_allclose(found, numbers[expected], rtol=1e-5, atol=1e-5 * abs(numbers[expected]).max())

    def test_without_labels(self, tmp_path):
        net = random_network(**SMALLEST, label_dim=0)
        (tmp_path / "net.pkl").write_bytes(pickled(snapshot(net)))
        assert load(tmp_path / "net.pkl").label_dim == 0

    @pytest.mark.parametrize(
        ("path", "change", "message"),
        [
            ((), {"sigma_data": 1.0}, "Precond records sigma_data = 1.0 where the network has 0.5"),
            ((), {"label_dim": 4}, "Precond records label_dim = 4 where the network has 3"),
            (("unet",), {"concat_balance": 0.4}, "UNet records concat_balance = 0.4 where the network has 0.5"),
            (("unet", "enc", "2x2_block0"), {"res_balance": 0.4}, "Block records res_balance = 0.4"),
            (("unet", "dec", "2x2_in0"), {"num_heads": 1}, "Block records num_heads = 1 where the network has 2"),
            (("unet", "dec", "2x2_in1"), {"clip_act": 255}, "Block records clip_act = 255 where the network has 256"),
            (("unet", "enc", "2x2_down"), {"resample_filter": [1, 3, 3, 1]}, "resample_filter = .1, 3, 3, 1. where"),
            (("unet", "enc", "2x2_down"), {"resample_mode": "up"}, "resample_mode = 'up' where the network has 'down'"),
            (("unet", "dec", "4x4_up"), {"flavor": "enc"}, "flavor = 'enc' where the network has 'dec'"),
            (
                ("unet", "dec", "4x4_up"),
                {"_init_args": (4, 4, 5)},
                r"records .4, 4, 5. where its tensors have .4, 4, 4.",
            ),
            (("unet", "out_conv"), {"_init_args": (1, 2)}, r"MPConv records .1, 2. where its tensors have .2, 1."),
            (
                ("unet", "out_conv"),
                {"_init_kwargs": {"kernel": [1, 1]}},
                "kernel = .1, 1. where the network has .3, 3.",
            ),
            (("logvar_fourier",), {"_init_args": (6,)}, r"MPFourier records .6. where its tensors have .5."),
            ((), {"_init_args": (16,)}, "Precond records arguments without their names"),
            (("unet",), {"_init_kwargs": {"num_blocks": 2}}, "Precond records num_blocks = 1 where the network has 2"),
            (("unet",), {"_init_kwargs": {"resample_filter": [1, 2]}}, "UNet resamples with another filter"),
            (("unet",), {"_init_kwargs": {"channel_mult_emb": 4}}, "unexpected keyword argument 'channel_mult_emb'"),
            (("unet",), {"_init_kwargs": {"attn_balance": 0.2}}, "Block records attn_balance = 0.3 where .* 0.2"),
        ],
    )
    def test_records_that_contradict(self, net, tmp_path, path, change, message):
        content = snapshot(net)
        state_of(content["ema"], *path).update(change)
        (tmp_path / "net.pkl").write_bytes(pickled(content))
        with pytest.raises(ResultFileError, match=message):
            load(tmp_path / "net.pkl")

    @pytest.mark.parametrize("named", [{"dropout": 0.1}, {"use_fp16": False}, {"channel_mult_emb": None}])
    def test_arguments_without_effect(self, net, tmp_path, named):
        content = snapshot(net)
        state_of(content["ema"])["_init_kwargs"] |= named
        (tmp_path / "net.pkl").write_bytes(pickled(content))
        assert load(tmp_path / "net.pkl").architecture == net.architecture

    def test_other_tensors(self, net, tmp_path):
        for path, change, message in (
            (("unet", "enc"), {"_modules": {}}, r"unet.enc.4x4_conv.weight is missing and \d+ more such tensors"),
            (
                ("unet", "out_conv"),
                {"_parameters": {}},
                "unet.out_conv.weight is missing; expected the weights of EDM2",
            ),
            ((), {"_modules": {}}, "other than a Precond around a UNet"),
        ):
            content = snapshot(net)
            state_of(content["ema"], *path).update(change)
            (tmp_path / "net.pkl").write_bytes(pickled(content))
            with pytest.raises(ResultFileError, match=message):
                load(tmp_path / "net.pkl")

    def test_a_bit_changed(self, net, tmp_path, monkeypatch):
        # The same arguments make the same network: built once, so that there is time for many changes.
        built = {}

        def once(**arguments):
            return built.setdefault(repr(sorted(arguments.items())), EDM2Network(**arguments))

        monkeypatch.setattr(network_file, "EDM2Network", once)
        whole, path = pickled(snapshot(net)), tmp_path / "net.pkl"
        path.write_bytes(whole)
        intact = network_file.read_network_file(path)
        rng = random.Random(0)
        messages = []
        for _ in range(120):
            damaged = bytearray(whole)
            damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
            path.write_bytes(damaged)
            try:
                found = network_file.read_network_file(path)
            except ResultFileError as error:
                messages.append(str(error))
                continue
            assert found.net.architecture == intact.net.architecture
            changed = [bits(tensor) != bits(found.tensors[name]) for name, tensor in intact.tensors.items()]
            assert found.tensors.keys() == intact.tensors.keys()
            assert sum(changed) <= 1
        assert 20 < len(messages) < 110
        assert all(message.startswith(str(path)) and "\n" not in message for message in messages)


def bits(tensor):
    return tensor.dtype, tensor.shape, tensor.numpy().tobytes()


class TestConvert:
    def test_bit_for_bit_with_a_card(self, net, pickle_file, tmp_path):
        target = tmp_path / "net.safetensors"
        card = convert(pickle_file, target)
        assert card == read_card(target)
        assert card["architecture"] == {"name": "EDM2", **net.architecture}
        assert card["source_sha256"] == hashlib.sha256(pickle_file.read_bytes()).hexdigest()
        assert (card["source"], card["dtype"]) == ("net.pkl", "float16")
        assert_same_state(load_file(target), net.state_dict(), torch.float16)
        assert torch.equal(output(load(target)), output(load(pickle_file)))

    @pytest.mark.parametrize("name", ["edm2-tiny", "edm2-tiny-guide"])
    def test_released_structure(self, tmp_path, name):
        source, target = shared_file(f"{name}.pkl"), tmp_path / "net.safetensors"
        convert(source, target)
        assert_same_state(load(target).state_dict(), load(source).state_dict(), torch.float32)
        if name == "edm2-tiny":
            with np.load(shared_file("edm2-tiny-state.npz")) as file:
                expected = {key: torch.from_numpy(file[key]) for key in file.files}
            assert_same_state(load_file(target), expected, torch.float16)

    def test_an_existing_file_is_kept(self, pickle_file, tmp_path):
        target = tmp_path / "net.safetensors"
        target.write_text("precious")
        with pytest.raises(OutputError, match=r"net.safetensors exists already"):
            convert(pickle_file, target)
        assert target.read_text() == "precious"
        convert(pickle_file, target, overwrite=True)
        load(target)

    def test_what_is_converted_already(self, net, tmp_path):
        save_network(tmp_path / "net.safetensors", net, {})
        with pytest.raises(InvalidInputError, match="is a safetensors file already; expected a released snapshot"):
            convert(tmp_path / "net.safetensors", tmp_path / "other.safetensors")

    def test_a_release_carries_its_licence(self, pickle_file, tmp_path):
        named = pickle_file.rename(tmp_path / f"{RELEASES[0]}.pkl")
        card = convert(named, tmp_path / "net.safetensors")
        assert card["licence"] == f"CC BY-NC-SA 4.0, that of the release {RELEASES[0]}"

    def test_command(self, pickle_file, tmp_path):
        target = tmp_path / "net.safetensors"
        arguments = ["convert", str(pickle_file), str(target)]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0
        assert hashlib.sha256(pickle_file.read_bytes()).hexdigest() in result.output
        assert f"weights: {target} (float16)" in result.output
        assert isinstance(CliRunner().invoke(app, arguments).exception, OutputError)
        assert CliRunner().invoke(app, [*arguments, "--force"]).exit_code == 0
        pickle_file.write_bytes(b"\x80\x04\x8c\x05posix\x8c\x06system\x93.")
        refused = CliRunner().invoke(app, [*arguments, "--force"]).exception
        assert isinstance(refused, FastpatchError)
        assert str(refused).startswith(f"{pickle_file} is refused: STACK_GLOBAL names posix.system, which no snapshot")


def test_a_default_number_of_levels_is_one_to_reckon_with(tmp_path):
    made_up = {"img_resolution": 32, "img_channels": 1, "label_dim": 3, "num_blocks": 10**9}
    with pytest.raises(ResultFileError, match="4000000000 blocks for 0 tensors"):
        network_file._network(made_up, {}, tmp_path / "made-up.safetensors")
