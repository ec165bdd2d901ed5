"""Give what is built its address, which only the forge knows: project URLs, and links of the README that work on PyPI.

    python .ci/stamp_address.py https://forge/owner/name REVISION

rewrites pyproject.toml and README.md in place, before `python -m build`; nothing of it is committed.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?!https?:|#)(?P<target>[^)]+)\)")


def absolute_links(text: str, address: str, revision: str) -> str:
    """Relative links lead to the files of a revision, images to their content."""

    def at_address(link: re.Match[str]) -> str:
        kind = "raw" if link["image"] else "blob"
        return f"{link['image']}[{link['text']}]({address}/{kind}/{revision}/{link['target']})"

    return LINK.sub(at_address, text)


def with_urls(project: str, address: str) -> str:
    """pyproject.toml with a table ``project.urls``; `ValueError` where it has one."""
    if "[project.urls]" in project:
        raise ValueError("pyproject.toml has project.urls already; expected none, since the forge knows the address")
    urls = {"Repository": address, "Issues": f"{address}/issues", "Changelog": f"{address}/blob/main/CHANGELOG.md"}
    table = "\n".join(f'{name} = "{url}"' for name, url in urls.items())
    return project.replace("[project.scripts]", f"[project.urls]\n{table}\n\n[project.scripts]", 1)


def main(address: str, revision: str) -> None:
    readme, project = ROOT / "README.md", ROOT / "pyproject.toml"
    project.write_text(with_urls(project.read_text(encoding="utf-8"), address), encoding="utf-8")
    readme.write_text(absolute_links(readme.read_text(encoding="utf-8"), address, revision), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
