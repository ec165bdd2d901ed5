"""What a sweep shows: the scaling study that it is, printed, kept as scaling.txt, and drawn."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..sweeps.store import SweepStore

__all__ = ["scaling_summary"]


def scaling_summary(store: "SweepStore", directory: Path) -> str | None:
    """The report of a complete sweep, None for one that is no study; made once and read from its file from then on.

    Raises `OutputError` where report or figure cannot be written.
    """
    from ..analysis.scaling.kinds import study_kind

    if study_kind(point.parameters for point in store.points) is None:
        return None
    # An extension of the sweep has more points: the report of those before is then out of date.
    file, heading = directory / "scaling.txt", f"{store.spec.title or 'scaling'}: {len(store.points)} points"
    if file.exists():
        kept = file.read_text(encoding="utf-8")
        if kept.startswith(f"{heading}\n"):
            return kept.rstrip("\n")

    from ..analysis.figures.scaling import save_scaling
    from ..analysis.scaling import scaling_report, scaling_study
    from ..atomic import atomic_path
    from ..sweeps import open_sweep

    study = scaling_study(open_sweep(directory))
    text = f"{heading}\n{scaling_report(study)}\ndrawn in {save_scaling(study, directory, store.spec.title)}"
    with atomic_path(file) as temporary:
        temporary.write_text(f"{text}\n", encoding="utf-8")
    return text
