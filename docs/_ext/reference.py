"""The API reference: one page a public package, written from its ``__all__`` at every build.

Three things are held by the build itself. Every public name appears (a name that the inventory lacks is a warning,
hence an error). A reference in a docstring that leads nowhere is an error. A reference to something that exists but is
not public, or that belongs to another package, is shown as code without a link.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args, get_origin

from docutils import nodes
from numpy.typing import ArrayLike
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.typing import stringify_annotation

logger = logging.getLogger(__name__)

# Packages whose names users import; the rest (kernels, engines, the command line) may change without notice.
ROOTS = ("analysis", "explore", "models", "neural", "studies", "sweeps", "theory")
# Other packages whose names stand in signatures and docstrings.
FOREIGN = (
    "Client", "abc", "builtins", "collections", "contextlib", "dask", "distributed", "enum", "functools", "matplotlib",
    "np", "numpy", "os", "pandas", "pathlib", "plt", "scipy", "torch", "tqdm", "typer", "types", "typing", "xarray",
    "xr", "zarr",
)  # fmt: skip
# Sections of a docstring whose items are written ``name : what it is``; what follows the colon is prose, not a type.
ITEMISED = ("Attributes", "Parameters", "Other Parameters")
# How an item's type or shape begins where a description follows on the next lines.
KINDS = ("(", "float", "int", "str", "array", "read-only", "bool", "xarray")
KEPT = re.compile(r"(`+[^`]*`+|\*\w\*|\*{1,2}\w[^*]*\w\*{1,2})")
FORMULA = re.compile(r"[|*]|(?<=\w)_(?=\W|$)")
COLON = "\ue000"
# What the annotations of arrays expand to, and their names.
ARRAY_LIKE = stringify_annotation(ArrayLike, "smart")
ND_ARRAY = re.compile(r"~numpy\.ndarray\[tuple\[~typing\.Any, \.\.\.\], ~numpy\.dtype\[([^\[\]]+)\]\]")


def public_modules() -> list[str]:
    """Dotted names of the modules that the reference describes, in the order of its pages."""
    found = ["fastpatch"]
    for root in ROOTS:
        name = f"fastpatch.{root}"
        if importlib.util.find_spec(name) is None:
            continue
        package = importlib.import_module(name)
        found.append(name)
        found += sorted(
            module.name
            for module in pkgutil.walk_packages(package.__path__, f"{name}.")
            if module.ispkg and public_names(importlib.import_module(module.name))
        )
    return [*found, "fastpatch.errors"]


def public_names(module: ModuleType) -> list[str]:
    """The names of ``__all__`` that are objects of their own: neither modules nor the version."""
    names = getattr(module, "__all__", [])
    return [name for name in names if not inspect.ismodule(getattr(module, name)) and not name.startswith("__")]


def at_home(modules: list[str]) -> dict[int, str]:
    """Where each public object is described: on the first page that has it."""
    described: dict[int, str] = {}
    for dotted in modules:
        module = importlib.import_module(dotted)
        for name in public_names(module):
            described.setdefault(id(getattr(module, name)), f"{dotted}.{name}")
    return described


def pages() -> Iterator[tuple[str, str]]:
    """File name and text of every page."""
    modules = public_modules()
    described = at_home(modules)
    for dotted in modules:
        module = importlib.import_module(dotted)
        names = public_names(module)
        homes_of = {name: described[id(getattr(module, name))] for name in names}
        parts = [
            dotted,
            "=" * len(dotted),
            "",
            f".. py:module:: {dotted}",
            "",
            inspect.getdoc(module) or "",
            "",
            f".. currentmodule:: {dotted}",
            "",
            *summary_table(module, homes_of),
        ]
        for name in names:
            if homes_of[name] == f"{dotted}.{name}":
                parts += directive(module, name)
        yield dotted, "\n".join(parts) + "\n"


def summary_table(module: ModuleType, homes_of: dict[str, str]) -> list[str]:
    """Every name with the first paragraph of its docstring."""
    rows = [".. list-table::", "   :widths: 30 70", "   :class: summary", ""]
    for name, home in homes_of.items():
        rows += [f"   * - :py:obj:`~{home}`", f"     - {summary(getattr(module, name))}"]
    return [*rows, ""]


def summary(value: Any) -> str:
    if get_origin(value) is Literal:
        return "One of " + ", ".join(f"``{choice!r}``" for choice in get_args(value)) + "."
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        return f"A constant, {type(value).__name__}."
    first = (inspect.getdoc(value) or "").split("\n\n")[0]
    return formulas_escaped(" ".join(first.split()))


def directive(module: ModuleType, name: str) -> list[str]:
    """What describes one public name."""
    value = getattr(module, name)
    if inspect.isclass(value):
        kind = "autoexception" if issubclass(value, BaseException) else "autoclass"
        options = ["   :members:", "   :show-inheritance:"]
        if all(base.__module__.startswith("fastpatch") for base in value.__mro__[:-1]):
            options.append("   :inherited-members:")
        return [f".. {kind}:: {name}", *options, ""]
    if inspect.isroutine(value):
        return [f".. autofunction:: {name}", ""]
    return [f".. py:data:: {name}", "", f"   {summary(value)}", ""]


def formulas_escaped(text: str) -> str:
    """Bars, stars and final underscores as characters, outside of code and of emphasis."""
    return "".join(part if at % 2 else FORMULA.sub(r"\\\g<0>", part) for at, part in enumerate(KEPT.split(text)))


def write_pages(app: Sphinx) -> None:
    """Write what has changed, so that an unchanged page is not read again, and remove what is gone."""
    folder = Path(app.srcdir) / "reference"
    folder.mkdir(exist_ok=True)
    written = {"index"}
    for name, text in pages():
        written.add(name)
        path = folder / f"{name}.rst"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    for path in folder.glob("fastpatch*.rst"):
        if path.stem not in written:
            path.unlink()


def homes() -> dict[str, str]:
    """From where an object is defined, and from its bare name where that is unique, to its public name."""
    by_home: dict[str, str] = {}
    by_name: dict[str, set[str]] = {}
    for dotted in reversed(public_modules()):
        module = importlib.import_module(dotted)
        for name in public_names(module):
            value = getattr(module, name)
            home, qualified = getattr(value, "__module__", None), getattr(value, "__qualname__", name)
            if home and not isinstance(value, str):
                by_home[f"{home}.{qualified}"] = f"{dotted}.{name}"
            by_name.setdefault(name, set()).add(f"{dotted}.{name}")
    return {**{name: next(iter(full)) for name, full in by_name.items() if len(full) == 1}, **by_home}


def resolve(app: Sphinx, env: Any, node: Any, contnode: nodes.TextElement) -> nodes.Node | None:
    """Find a target by where it is defined; show what is not public, or not ours, as code."""
    if node.get("refdomain") != "py":
        return None
    target = str(node["reftarget"]).lstrip("~.")
    known = env.fastpatch_homes
    candidates = [target, f"{node.get('py:module')}.{target}", *_split(target)]
    domain = env.domains.python_domain
    for candidate in candidates:
        head, _, member = candidate.partition("|")
        full = known.get(head, head)
        full = f"{full}.{member}" if member else full
        if full in domain.objects:
            entry = domain.objects[full]
            from sphinx.util.nodes import make_refnode

            return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, contnode, full)
    if target.split(".")[0] in FOREIGN or _exists(target, node.get("py:module"), node.get("py:class")):
        return contnode
    return None


def _split(target: str) -> list[str]:
    """``PatchModel.plan`` may be a member of a public class: name and member, divided by a bar."""
    head, _, member = target.rpartition(".")
    return [f"{head}|{member}"] if head else []


def _exists(target: str, module: str | None, owner: str | None) -> bool:
    """Whether the name leads to an object of Python's, of the module at hand, or of any of fastpatch's modules."""
    import builtins

    if hasattr(builtins, target):
        return True
    scopes = [f"{module}.{owner}.{target}" if owner else "", f"{module}.{target}", target, f"fastpatch.{target}"]
    return any(_import(scope) for scope in scopes if scope) or target.split(".")[0] in _all_names()


def _import(dotted: str) -> bool:
    parts = dotted.split(".")
    if parts[0] != "fastpatch":
        return False
    for cut in range(len(parts), 0, -1):
        try:
            value: Any = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for part in parts[cut:]:
            if not hasattr(value, part) and part not in getattr(value, "__annotations__", {}):
                return False
            value = getattr(value, part, None)
        return True
    return False


@cache
def _all_names() -> frozenset[str]:
    """Every name in any module of fastpatch: docstrings speak of internals and of type aliases too."""
    import fastpatch

    names: set[str] = set()
    for module in pkgutil.walk_packages(fastpatch.__path__, "fastpatch.", onerror=lambda _: None):
        if ".cuda" not in module.name and not module.name.endswith("__main__"):
            with suppress(ImportError):
                values = vars(importlib.import_module(module.name))
                names.update(values)
                for value in values.values():
                    names.update(vars(value) if inspect.isclass(value) else ())
    return frozenset(names)


def prepare(app: Sphinx, env: Any, docnames: Any) -> None:
    env.fastpatch_homes = homes()


def with_named_arrays(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Signatures say ArrayLike and NDArray, as the sources do, and not what these stand for."""

    def named(text: str | None) -> str | None:
        if text is None:
            return None
        return ND_ARRAY.sub(r"~numpy.typing.NDArray[\1]", text.replace(ARRAY_LIKE, "~numpy.typing.ArrayLike"))

    return named(signature), named(returned)


def as_restructured_text(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Our docstrings as napoleon and docutils want them, without a change to what ``help`` shows.

    In the sections of items, ``name : what it is`` becomes a name and a description, since napoleon would take the
    second for a type, and text after the items is no item. Bars, stars, final underscores are characters of formulas.
    """
    rewritten: list[str] = []
    section, mathematics = "", False
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if line.strip() and set(following.strip()) == {"-"}:
            section = line.strip()
        if line.strip():
            mathematics = ".. math::" in line or (mathematics and line.startswith(" "))
        if not mathematics:
            line = formulas_escaped(line)
        outside = line[:1] not in ("", " ", "-")
        if section in ITEMISED and outside and " : " in line:
            label, _, text = line.partition(" : ")
            kind = text.startswith(KINDS) and following.startswith(" ")
            rewritten += [label, f"    {text}:" if kind else f"    {text}"]
            continue
        if section in (*ITEMISED, "Raises") and outside and line != section and not following.startswith(" "):
            section = ""
            rewritten.append("")
        rewritten.append(line)
    if what in ("attribute", "data", "property"):
        # Before a colon napoleon would see a type.
        rewritten = [line.replace(":", COLON) for line in rewritten]
    lines[:] = rewritten


def restore_colons(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = [line.replace(COLON, ":") for line in lines]


def check(app: Sphinx, exception: Exception | None) -> None:
    """Every public name is in the inventory, or the build fails."""
    if exception is not None or app.builder.format != "html":
        return
    described = app.env.domains.python_domain.objects
    places = at_home(public_modules())
    for dotted in public_modules():
        for name in public_names(importlib.import_module(dotted)):
            if places[id(getattr(importlib.import_module(dotted), name))] not in described:
                logger.warning("%s.%s is public but not in the reference", dotted, name)


def setup(app: Sphinx) -> dict[str, Any]:
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("builder-inited", write_pages)
    app.connect("env-before-read-docs", prepare)
    app.connect("autodoc-process-signature", with_named_arrays)
    app.connect("autodoc-process-docstring", as_restructured_text, priority=400)
    app.connect("autodoc-process-docstring", restore_colons, priority=600)
    app.connect("missing-reference", resolve)
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
