"""What a release is made of agrees with itself, and its workflows ask for no more rights than they need."""

import json
import re
import runpy
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")


def load(path):
    return yaml.safe_load(path.read_text())


def jobs():
    for path in WORKFLOWS:
        for name, job in load(path)["jobs"].items():
            yield pytest.param(load(path), job, id=f"{path.stem}: {name}")


def test_the_weights_have_the_version_of_the_package():
    weights = tomllib.loads((ROOT / "weights" / "pyproject.toml").read_text())["project"]
    assert weights["version"] == PROJECT["version"]
    assert weights["license"] == PROJECT["license"]


def test_the_recipe_has_the_dependencies_of_the_package():
    text = (ROOT / "conda" / "recipe.yaml").read_text()
    assert re.search(r'version: "(.*)"', text)[1] == PROJECT["version"]
    recipe = load(ROOT / "conda" / "recipe.yaml")
    listed = {line.split()[0]: line.split()[-1] for line in recipe["requirements"]["run"]}
    listed["matplotlib"] = listed.pop("matplotlib-base")
    assert listed.pop("python") == PROJECT["requires-python"]
    assert listed == {Requirement(text).name: str(Requirement(text).specifier) for text in PROJECT["dependencies"]}
    entry_points = [f"{name} = {home}" for name, home in PROJECT["scripts"].items()]
    assert recipe["build"]["python"]["entry_points"] == entry_points


def test_a_release_has_the_address_of_the_forge_that_builds_it():
    stamp = runpy.run_path(str(ROOT / ".ci" / "stamp_address.py"))
    address, text = "https://forge.example/owner/name", (ROOT / "README.md").read_text(encoding="utf-8")
    readme = stamp["absolute_links"](text, address, "0123abc")
    targets = re.findall(r"\]\(([^)]+)\)", readme)
    assert len(targets) == len(re.findall(r"\]\(", text)) > 10
    assert all(target.startswith("https://") for target in targets)
    # What a page of PyPI shows is the file's content, what it links to is the file's page.
    assert f"({address}/raw/0123abc/docs/figure3.png)" in readme
    assert f"({address}/blob/0123abc/CHANGELOG.md)" in readme
    project = stamp["with_urls"]((ROOT / "pyproject.toml").read_text(encoding="utf-8"), address)
    assert set(tomllib.loads(project)["project"]["urls"].values()) >= {address, f"{address}/issues"}
    with pytest.raises(ValueError, match=r"has project\.urls already"):
        stamp["with_urls"](project, address)


def test_metadata_for_archives():
    zenodo = json.loads((ROOT / ".zenodo.json").read_text())
    citation = load(ROOT / "CITATION.cff")
    assert zenodo["license"] == citation["license"] == PROJECT["license"]
    assert citation["preferred-citation"]["title"] in (ROOT / "docs" / "index.md").read_text().replace("\n", " ")


@pytest.mark.parametrize(("workflow", "job"), list(jobs()))
def test_a_job_writes_only_what_it_says(workflow, job):
    # At the top nothing or reading; whoever writes says so in the job itself, and has a time limit.
    assert set((workflow["permissions"] or {}).values()) <= {"read"}
    granted = job.get("permissions", {})
    assert set(granted) <= {"contents", "pages", "id-token"}
    assert granted.get("contents", "read") == "read" or "benchmark" in str(job)
    assert job["timeout-minutes"] <= 60


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_steps_run_neither_words_of_a_contributor_nor_code_that_can_be_moved(path):
    for job in load(path)["jobs"].values():
        for step in job["steps"]:
            assert "${{ github.event" not in step.get("run", "")
            assert "head_ref" not in step.get("run", "")
            # A tag can be moved to other code, a commit cannot.
            assert re.search(r"@[0-9a-f]{40}$", step.get("uses", f"@{'0' * 40}"))
