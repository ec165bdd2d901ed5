"""``fastpatch theory``: critical times and the mean-field dispersion."""

import math
from pathlib import Path
from typing import Annotated

import typer

from . import options

__all__ = ["theory"]


def theory(
    patch_radius: Annotated[int, typer.Option(help="K of the (2K + 1)^d patch.")] = 2,
    dimension: Annotated[int, typer.Option(help="d, the lattice dimension of the closed forms.")] = 2,
    beta: options.Beta = 1.0,
    random_patterns: Annotated[int, typer.Option(help="Random patterns of the dictionary compared.")] = 8,
    uniform_mass: Annotated[float, typer.Option(help="Prior mass of its uniform patterns.")] = 0.9,
    dictionary_seed: Annotated[int, typer.Option(help="Seed of its random patterns.")] = 0,
    out: options.Out = Path("runs/theory"),
) -> None:
    """The four critical times, in closed form and for a dictionary, and the dispersion around them.

    Writes dispersion.png.
    """
    import numpy as np

    from .. import theory as formulas
    from ..analysis.figures import draw_dispersion, save_figure
    from ..atomic import writable_directory
    from ..dictionary import PatchDictionary
    from ..process import VPSchedule
    from .experiment import shown

    directory = writable_directory(out)
    schedule = VPSchedule(beta)
    dictionary = PatchDictionary.random(
        random_patterns, uniform_mass=uniform_mass, size=2 * patch_radius + 1, seed=dictionary_seed
    )
    closed = formulas.critical_times(K=patch_radius, d=dimension, schedule=schedule)
    exact = formulas.critical_times(dictionary=dictionary, schedule=schedule)
    labels: dict[formulas.CriticalCondition, str] = {
        "score": "1/sigma^2 = alpha^2/sigma^4 Omega          (eqs. 26-30)",
        "eq17": "1/2 + 1/sigma^2 = alpha^2/sigma^4 Omega    (eq. 17)",
        "drift": "1/sigma^2 - 1/2 = alpha^2/sigma^4 Omega    (drift Jacobian)",
        "renormalised": "drift Jacobian averaged over x ~ N(0, 1)   (eqs. 20-21)",
    }
    omega = formulas.hypercube_volume(patch_radius, dimension)
    print(f"critical times, beta = {beta:g}")
    print(f"{'':<15}{'condition':<58}{f'Omega = {omega}':>12}{f'{len(dictionary)} patterns':>14}")
    for name, label in labels.items():
        print(f"{name:<15}{label:<58}{shown(closed[name], '.4f'):>12}{shown(exact[name], '.4f'):>14}")
    softening = {name: t for name, t in exact.items() if not math.isnan(t)}
    times = {f"$t$ = {t:.2f} ({name} $t_c$)": t for name, t in sorted(softening.items(), key=lambda item: -item[1])}
    first = 1.5 * max(times.values(), default=4.0)
    times = {f"$t$ = {first:.2f}": first, **times}
    k = np.linspace(0.0, np.pi, 201)
    vectors = np.stack([k, np.zeros_like(k)], axis=-1)
    curves = [formulas.dispersion(vectors, t, dictionary=dictionary, schedule=schedule) for t in times.values()]
    path = directory / "dispersion.png"
    save_figure(
        draw_dispersion(k, curves, list(times), f"Mean-field dispersion at x = 0, {len(dictionary)} patterns"),
        path,
    )
    print(f"wrote {path}")
