"""Where a result came from: the source revision is told for a working copy, and never somebody else's."""

import json
import re
import shutil
import subprocess

import pytest

import fastpatch as fp
from fastpatch import provenance


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """An empty Git repository in which the module believes to live, as ``package/provenance.py``."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")

    def git(*arguments):
        command = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    source = tmp_path / "package" / "provenance.py"
    source.parent.mkdir()
    source.write_text("first\n")
    monkeypatch.setattr(provenance, "__file__", str(source))
    return git, source


def revision():
    return provenance.git_revision.__wrapped__()


def test_the_commit_of_a_working_copy_and_whether_it_was_edited(repository):
    git, source = repository
    git("add", "package")
    git("commit", "-q", "-m", "first")
    commit = git("rev-parse", "HEAD")
    assert re.fullmatch(r"[0-9a-f]{40}", commit)
    assert revision() == commit
    source.with_name("untracked.py").touch()
    assert revision() == commit
    source.write_text("edited\n")
    assert revision() == f"{commit}-dirty"


def test_a_copy_installed_into_another_repository_has_no_revision(repository):
    git, source = repository
    (source.parent.parent / "own.txt").touch()
    git("add", "own.txt")
    git("commit", "-q", "-m", "somebody else's")
    assert revision() is None


def test_without_commits_or_without_git_there_is_no_revision(repository, monkeypatch):
    git, _ = repository
    git("add", "package")
    assert revision() is None
    git("commit", "-q", "-m", "first")
    monkeypatch.setenv("PATH", "")
    assert revision() is None


def test_the_environment_is_json():
    found = json.loads(json.dumps(provenance.environment()))
    assert found["fastpatch"] == fp.__version__
    assert found["cpu_count"] >= 1
    assert found["threads"] >= 1
    assert all(re.match(r"\d+\.\d+", version) for version in found["versions"].values())
