"""Models, schedulers and text encoders of diffusers in a directory, a pipeline, or under a name of the hub."""

import json
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import BackendUnavailableError, InvalidInputError, ResultFileError
from ...messages import reason
from ..transformers_bars import without_progress_bars

__all__ = ["Parts", "encode_prompts", "find_parts", "read_scheduler"]

_MODELS = ("unet", "transformer")
_CONFIG, _INDEX, _SCHEDULER = "config.json", "model_index.json", "scheduler_config.json"


class Parts:
    """A model, its scheduler (None where none is found) and what encodes prompts, of whatever the user pointed at."""

    def __init__(self, model: Any, scheduler: Any = None, tokenizer: Any = None, text_encoder: Any = None) -> None:
        self.model, self.scheduler = model, scheduler
        self.tokenizer, self.text_encoder = tokenizer, text_encoder


def find_parts(source: Any, *, text: bool = False) -> Parts:
    """The parts of a module, a pipeline object, a directory of ``save_pretrained``, or a name of the hub.

    ``text`` asks for the text encoder of a pipeline too. Nothing that a file says is executed: classes are those of
    the installed diffusers and transformers. Raises `ResultFileError` for a directory without a model of diffusers,
    `InvalidInputError` for another object, and `BackendUnavailableError` where a package or the hub is missing.
    """
    if isinstance(source, torch.nn.Module):
        return Parts(source)
    if not isinstance(source, str | Path):
        model = next((found for name in _MODELS if (found := getattr(source, name, None)) is not None), None)
        if model is None:
            raise InvalidInputError(
                f"the source is a {type(source).__name__}; expected a directory, a module, or a pipeline with a unet "
                "or a transformer"
            )
        return Parts(
            model,
            getattr(source, "scheduler", None),
            getattr(source, "tokenizer", None),
            getattr(source, "text_encoder", None),
        )
    directory = _directory(source, text=text)
    index = _json(directory / _INDEX) if (directory / _INDEX).is_file() else {}
    parts = Parts(None)
    for name in _MODELS:
        if (directory / name / _CONFIG).is_file():
            parts.model = _model(directory / name)
            break
    else:
        if not (directory / _CONFIG).is_file():
            raise ResultFileError(
                f"{directory} holds neither {_CONFIG} nor {' nor '.join(f'{name}/{_CONFIG}' for name in _MODELS)}; "
                "expected a directory written by save_pretrained"
            )
        parts.model = _model(directory)
    for place in (directory / "scheduler", directory, directory.parent / "scheduler"):
        if (place / _SCHEDULER).is_file():
            parts.scheduler = read_scheduler(place)
            break
    if text:
        parts.tokenizer, parts.text_encoder = _text_parts(directory, index)
    return parts


def read_scheduler(source: Any) -> Any:
    """A scheduler of diffusers from its directory or file; a scheduler object is passed on.

    Raises `ResultFileError` where there is none.
    """
    if not isinstance(source, str | Path):
        return source
    path = Path(source)
    for file in (path, path / _SCHEDULER, path / "scheduler" / _SCHEDULER):
        if file.is_file():
            config = _json(file)
            kind = _class("diffusers", config.get("_class_name"), "SchedulerMixin", file)
            return _configured(kind, config, file)
    raise ResultFileError(f"{path} holds no {_SCHEDULER}; expected the directory of a scheduler saved by diffusers")


def _configured(kind: Any, config: dict[str, Any], file: Path) -> Any:
    try:
        return kind.from_config(config)
    except Exception as error:
        raise ResultFileError(
            f"{file} does not make a {kind.__name__} ({reason(error)}); expected the settings of one"
        ) from error


@torch.no_grad()
def encode_prompts(parts: Parts, prompts: Sequence[str]) -> Tensor:
    """Embeddings (K, L, D) by the pipeline's own tokenizer and text encoder, as Stable Diffusion 1 and 2 use them.

    Raises `InvalidInputError` where the pipeline has none, or more than one.
    """
    if parts.tokenizer is None or parts.text_encoder is None:
        raise InvalidInputError(
            "prompts are given, but the pipeline's text encoder is absent; expected a pipeline saved with tokenizer "
            "and text_encoder, or conditions (K, L, D)"
        )
    tokens = parts.tokenizer(
        list(prompts),
        padding="max_length",
        max_length=parts.tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    embedded: Tensor = parts.text_encoder(tokens.input_ids.to(parts.text_encoder.device))[0]
    return embedded.cpu()


def _directory(source: str | Path, *, text: bool) -> Path:
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    name = str(source)
    if path.exists() or name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise ResultFileError(f"{path} is not a directory; expected one written by save_pretrained of diffusers")
    wanted = ["*.json", "*.txt", "*.model", "diffusion_pytorch_model*.safetensors"]
    wanted += [f"{folder}/*.safetensors" for folder in (*_MODELS, *(("text_encoder",) if text else ()))]
    try:
        from huggingface_hub import snapshot_download

        # Neither code nor pickles, and of the weights what is asked here.
        return Path(snapshot_download(name, allow_patterns=wanted, ignore_patterns=["*.fp16.*", "*.non_ema.*"]))
    except ImportError as error:
        raise BackendUnavailableError(
            f"{name!r} is no directory, and names of the hub need huggingface_hub; expected "
            '`pip install "fastpatch[diffusers]"`, or a directory'
        ) from error
    except Exception as error:  # the hub's client raises those of several HTTP libraries
        raise ResultFileError(
            f"{name!r} is no directory here and could not be fetched from the hub ({_hub_reason(error)}); expected a "
            "directory written by save_pretrained, or a name that the hub has"
        ) from error


def _hub_reason(error: Exception) -> str:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "GatedRepoError" in kinds:
        return "it asks for an agreement to its licence first"
    if "RepositoryNotFoundError" in kinds:
        return "it has no such model, or not without a login"
    if kinds & {"LocalEntryNotFoundError", "OfflineModeIsEnabled", "ConnectError", "ConnectionError"}:
        return "it is not in the cache, and the hub is out of reach or HF_HUB_OFFLINE is set"
    return reason(error)


def _model(directory: Path) -> Any:
    config = _json(directory / _CONFIG)
    kind = _class("diffusers", config.get("_class_name"), "ModelMixin", directory / _CONFIG)
    return _loaded(kind, directory, low_cpu_mem_usage=False, use_safetensors=True)


def _text_parts(directory: Path, index: dict[str, Any]) -> tuple[Any, Any]:
    """Tokenizer and text encoder, or twice None where the pipeline lacks either."""
    found: list[Any] = []
    bases = {"tokenizer": "PreTrainedTokenizerBase", "text_encoder": "PreTrainedModel"}
    for name, base in bases.items():
        entry = index.get(name)
        library, kind = entry if isinstance(entry, list) and len(entry) == 2 else (None, None)
        if library != "transformers" or not (directory / name).is_dir():
            return None, None
        safe = {"use_safetensors": True} if name == "text_encoder" else {}
        found.append(_loaded(_class("transformers", kind, base, directory / _INDEX), directory / name, **safe))
    return found[0], found[1]


def _loaded(kind: Any, directory: Path, **options: Any) -> Any:
    """``kind.from_pretrained`` of a directory: the classes are those installed, no code of the directory is run."""
    try:
        with without_progress_bars() if kind.__module__.startswith("transformers") else nullcontext():
            return kind.from_pretrained(directory, local_files_only=True, **options)
    except Exception as error:
        raise ResultFileError(
            f"{directory} cannot be read as a {kind.__name__} ({reason(error)}); expected what save_pretrained writes, "
            "with weights as safetensors"
        ) from error


def _class(package: str, name: Any, base: str, file: Path) -> Any:
    """The class of this name of a package, if it derives from its class ``base``."""
    from importlib import import_module

    try:
        module = import_module(package)
        # Their modules load on use, and some need packages of their own.
        found, wanted = getattr(module, str(name), None), getattr(module, base)
    except (ImportError, RuntimeError) as error:
        raise BackendUnavailableError(
            f'{file} needs {package}, which is not installed; expected `pip install "fastpatch[diffusers]"`'
        ) from error
    if not (isinstance(found, type) and issubclass(found, wanted)):
        raise ResultFileError(f"{file} names the class {name!r}; expected a {base} of the installed {package}")
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResultFileError(f"{path} cannot be read ({error}); expected JSON written by diffusers") from error
    if not isinstance(found, dict):
        raise ResultFileError(f"{path} holds a {type(found).__name__}; expected an object of settings")
    return found
