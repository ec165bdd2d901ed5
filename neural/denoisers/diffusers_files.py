"""Models, schedulers and text encoders of diffusers in a directory, a pipeline, or under a name of the hub."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import BackendUnavailableError, InvalidInputError, ResultFileError

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
    directory = _directory(source)
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
            return _class("diffusers", config.get("_class_name"), file).from_config(config)
    raise ResultFileError(f"{path} holds no {_SCHEDULER}; expected the directory of a scheduler saved by diffusers")


@torch.no_grad()
def encode_prompts(parts: Parts, prompts: Sequence[str]) -> Tensor:
    """Embeddings (K, L, D) by the pipeline's own tokenizer and text encoder, as Stable Diffusion 1 and 2 use them.

    Raises `InvalidInputError` where the pipeline has none.
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
    embedded: Tensor = parts.text_encoder(tokens.input_ids)[0]
    return embedded


def _directory(source: str | Path) -> Path:
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    text = str(source)
    if path.exists() or text.count("/") != 1 or text.startswith((".", "/", "~")):
        raise ResultFileError(f"{path} is not a directory; expected one written by save_pretrained of diffusers")
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(text, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.model"]))
    except ImportError as error:
        raise BackendUnavailableError(
            f"{text!r} is no directory, and names of the hub need huggingface_hub; expected "
            '`pip install "fastpatch[diffusers]"`, or a directory'
        ) from error
    except Exception as error:  # the hub's client raises those of several HTTP libraries
        raise ResultFileError(
            f"{text!r} is no directory here and could not be fetched from the hub ({type(error).__name__}); expected a "
            "directory written by save_pretrained"
        ) from error


def _model(directory: Path) -> Any:
    config = _json(directory / _CONFIG)
    kind = _class("diffusers", config.get("_class_name"), directory / _CONFIG)
    try:
        return kind.from_pretrained(directory, low_cpu_mem_usage=False)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ResultFileError(
            f"{directory} cannot be read as a {kind.__name__} ({reason}); expected weights of save_pretrained"
        ) from error


def _text_parts(directory: Path, index: dict[str, Any]) -> tuple[Any, Any]:
    found: list[Any] = []
    for name in ("tokenizer", "text_encoder"):
        library, kind = (index.get(name) or [None, None])[:2]
        if library != "transformers" or not (directory / name).is_dir():
            return None, None
        found.append(_class("transformers", kind, directory / _INDEX).from_pretrained(directory / name))
    return found[0], found[1]


def _class(package: str, name: Any, file: Path) -> Any:
    from importlib import import_module

    try:
        found = getattr(import_module(package), str(name), None)
    except ImportError as error:
        raise BackendUnavailableError(
            f'{file} needs {package}, which is not installed; expected `pip install "fastpatch[diffusers]"`'
        ) from error
    if not isinstance(found, type):
        raise ResultFileError(f"{file} names the class {name!r}; expected one of the installed {package}")
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResultFileError(f"{path} cannot be read ({error}); expected JSON written by diffusers") from error
    if not isinstance(found, dict):
        raise ResultFileError(f"{path} holds a {type(found).__name__}; expected an object of settings")
    return found
