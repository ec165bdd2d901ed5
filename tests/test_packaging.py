"""What is shipped, what is imported, and that the two agree with the folders."""

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import fastpatch as fp

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
# Folders beside the package that are imported as parts of it.
MAPPED = {"fastpatch.analysis": "analysis", "fastpatch.neural": "neural"}


def folders_with_code(folder):
    """The folders under ``folder``, itself included, that hold Python files; links are not followed."""
    holders = {path.parent for path in folder.rglob("*.py")}
    return {
        path.relative_to(folder) for path in holders if not any(part.is_symlink() for part in (path, *path.parents))
    }


def test_packages_are_the_folders_that_hold_code():
    expected = set()
    for package, folder in {"fastpatch": "fastpatch", **MAPPED}.items():
        for relative in folders_with_code(ROOT / folder):
            expected.add(".".join((package, *relative.parts)))
    listed = PROJECT["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(expected)
    assert len(listed) == len(set(listed))
    assert PROJECT["tool"]["setuptools"]["package-dir"] == MAPPED


@pytest.mark.parametrize("package", sorted(MAPPED))
def test_links_lead_editors_to_the_mapped_folders(package):
    link = ROOT / package.replace(".", "/")
    if link.is_file():
        pytest.skip("this checkout has no symbolic links; the package does not need them")
    assert link.is_symlink()
    assert link.readlink() == Path("..") / MAPPED[package]
    assert link.resolve() == ROOT / MAPPED[package]


def test_types_are_announced():
    assert (ROOT / "fastpatch" / "py.typed").exists()
    assert "py.typed" in PROJECT["tool"]["setuptools"]["package-data"]["fastpatch"]


def test_versions_agree():
    assert fp.__version__ == PROJECT["project"]["version"] == metadata.version("fastpatch")
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.search(rf"^version: \"?{re.escape(fp.__version__)}\"?$", citation, re.MULTILINE)


def test_the_command_is_an_entry_point():
    assert PROJECT["project"]["scripts"] == {"fastpatch": "fastpatch.__main__:main"}


def test_nothing_is_pinned_in_the_package_and_everything_in_the_constraints():
    extras = PROJECT["project"]["optional-dependencies"]
    everything = [*PROJECT["project"]["dependencies"], *chain(*extras.values())]
    assert not [text for text in everything if any(part.operator == "==" for part in Requirement(text).specifier)]
    pinned = {
        line.split("==")[0].strip().lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    }
    # What `make` installs for running, testing and checking.
    wanted = [*PROJECT["project"]["dependencies"], *chain(*(extras[name] for name in ("neural", "test", "lint")))]
    names = {re.split(r"[<>=\[ ;]", requirement)[0].lower().replace("_", "-") for requirement in wanted}
    assert names <= pinned


def run(code, folder=None):
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120, check=True
    ).stdout


def test_importing_the_package_imports_nothing_heavy():
    heavy = ("numba", "torch", "dask", "matplotlib", "xarray", "scipy", "numpy", "h5py", "typer", "tqdm")
    assert run(f"import sys, fastpatch; print(sorted(set({heavy!r}) & sys.modules.keys()))") == "[]\n"


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("fastpatch.analysis", ("numba", "torch", "matplotlib", "xarray")),
        ("fastpatch.theory", ("numba", "torch", "matplotlib", "xarray")),
        ("fastpatch.analysis.figures", ("numba", "torch", "matplotlib.pyplot")),
        ("fastpatch.runs.simulation", ("torch", "dask", "matplotlib", "xarray")),
        ("fastpatch.neural", ("torch", "matplotlib")),
        ("fastpatch.neural.edm2", ("torch", "matplotlib")),
        ("fastpatch.neural.edm2.snapshot", ("torch", "safetensors")),
    ],
)
def test_parts_import_what_they_need_and_no_more(module, absent):
    assert run(f"import sys, {module}; print(sorted(set({absent!r}) & sys.modules.keys()))") == "[]\n"


def test_every_public_name_resolves_and_is_listed():
    for name in fp.__all__:
        assert getattr(fp, name) is not None
        assert name in dir(fp)
    assert len({*fp.__all__}) == len(fp.__all__)
    namespace = {}
    exec("from fastpatch import *", namespace)
    assert {*fp.__all__} <= namespace.keys()
    with pytest.raises(AttributeError, match="module 'fastpatch' has no attribute 'nonsense'"):
        fp.nonsense  # noqa: B018


def test_the_contract_of_the_api():
    contract = ["VPSchedule", "log_time_grid", "PatchDictionary", "PatchModel", "EmpiricalModel", "simulate", "theory"]
    assert {*contract} <= {*fp.__all__}
    for name in (
        "autocorrelation", "radial_average", "correlation_length", "log_time_derivative", "fourier_modes",
        "directional_derivatives", "fit_equilibrium_length",
    ):  # fmt: skip
        assert callable(getattr(fp.analysis, name))
        assert name in fp.analysis.__all__
    for name in ("ginzburg_landau", "dispersion", "critical_time"):
        assert callable(getattr(fp.theory, name))
    for method in ("posterior_mean", "score", "drift", "mode_derivatives", "spectrum"):
        for model in (fp.PatchModel, fp.EmpiricalModel):
            assert getattr(model, method).__doc__


def test_public_functions_are_documented():
    for module in (fp, fp.analysis, fp.theory):
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value) and not hasattr(value, "__origin__"):
                assert value.__doc__, name
            if hasattr(value, "__module__"):
                assert value.__module__.startswith(("fastpatch", "typing")), name


@pytest.mark.skipif(not (ROOT / ".github").is_dir(), reason="an installed package has no workflows")
@pytest.mark.parametrize("name", ["benchmark.yml", "ci.yml"])
def test_workflows_have_least_permissions_and_actions_that_nobody_can_move(name):
    text = (ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8")
    assert "\npermissions: {}\n" in text
    used = re.findall(r"uses: (\S+)", text)
    assert used
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action) for action in used)
    jobs = text[text.index("\njobs:") :]
    assert jobs.count("    permissions:\n") == jobs.count("    runs-on:")
    # Who may write runs none of the project's code.
    for job in re.split(r"\n  (?=\w+:\n)", jobs):
        assert "contents: write" not in job or "- run:" not in job
