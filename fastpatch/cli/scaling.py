"""What a sweep shows: the scaling study that it is, printed, kept as scaling.txt, and drawn."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..sweeps.store import SweepStore

__all__ = ["scaling_summary"]

# To be counted up when the same results give another report.
_EDITION = 3
_DRAWN = "drawn in "


def scaling_summary(store: "SweepStore", directory: Path) -> str | None:
    """The report of a complete sweep, None for one that is no study; made once and read from its file from then on.

    Raises `OutputError` where report or figure cannot be written.
    """
    from ..studies.kinds import study_kind
    from ..sweeps.files import digest

    if study_kind(point.parameters for point in store.points) is None:
        return None
    # Out of date when the sweep was extended or parts of it computed anew, or reports say something else.
    commits = digest(b"".join(store.files.commit(shard.index).read_bytes() for shard in store.shards))
    title = f"{store.spec.title or 'scaling'}: {len(store.points)} points"
    file, heading = directory / "scaling.txt", f"{title} (results {commits[:12]}, report {_EDITION})"
    kept = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    drawn = kept.rstrip("\n").rpartition(_DRAWN)[2]
    if kept.startswith(f"{heading}\n") and Path(drawn).is_file():
        return kept.rstrip("\n")

    from ..atomic import atomic_path
    from ..studies import scaling_report, scaling_study
    from ..studies.figures import save_scaling
    from ..sweeps import open_sweep

    study = scaling_study(open_sweep(directory))
    text = f"{heading}\n{scaling_report(study)}\n{_DRAWN}{save_scaling(study, directory, store.spec.title)}"
    with atomic_path(file, follow_links=False) as temporary:
        temporary.write_text(f"{text}\n", encoding="utf-8")
    return text
