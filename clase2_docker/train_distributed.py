"""Hace la misma búsqueda en serie, con procesos y con Dask, y mide lo que se gana al repartirla.

python clase2_docker/train_distributed.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from joblib import cpu_count
from matplotlib.figure import Figure
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from clase2_docker.pools import (
    Timing,
    check_scheduler,
    local_cluster,
    processes,
    remote_cluster,
    serial,
    time_in,
)
from shared.commands import MAX_SEED, run_script
from shared.datasets import WINE_CSV, WINE_FEATURES, WINE_TARGET, load_wine_quality
from shared.errors import LabError
from shared.outputs import package_versions, refuse_other_run, replace_folder, sha256_of, write_json
from shared.plots import DPI
from shared.settings import get_settings

OUTPUTS = get_settings().outputs("clase2_docker")
RESULTS_FOLDER = "distribuido"
RESULTS_RECORD = "resultados.json"
RESULTS_PLOT = "tiempos.png"

GOOD_QUALITY = 7
FOLDS = 5
GRID = {"learning_rate": [0.01, 0.02, 0.05], "max_leaf_nodes": [6, 12, 24]}
HEADER = f"{'':<7}{'procesos':>10}{'arranque':>11}{'búsqueda':>11}{'aceleración':>13}{'eficiencia':>12}"


def load_wines() -> tuple[np.ndarray, np.ndarray]:
    """Devuelve las 11 medidas de cada vino, sin filas repetidas, y si es bueno: una nota de 7 o más."""
    wines = load_wine_quality().drop_duplicates()
    return wines[list(WINE_FEATURES)].to_numpy(), (wines[WINE_TARGET] >= GOOD_QUALITY).to_numpy()


def build_search(*, trees: int, seed: int) -> GridSearchCV:
    """Búsqueda con modelos de `trees` árboles; cuántos procesos usa lo decide el `with` que rodee a su `fit`."""
    splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    model = HistGradientBoostingClassifier(max_iter=trees, early_stopping=False, random_state=seed)
    return GridSearchCV(model, GRID, scoring="average_precision", cv=splitter, error_score="raise")


def require_same_scores(searches: Sequence[GridSearchCV]) -> None:
    """Comprueba que cada combinación sacó la misma nota en cada partición; entonces, la mejor es la misma.

    Raises:
        LabError: si alguna búsqueda no dio lo mismo que la primera.
    """
    first, *others = [[search.cv_results_[f"split{fold}_test_score"] for fold in range(FOLDS)] for search in searches]
    if not all(np.array_equal(first, other) for other in others):
        raise LabError(
            "Las búsquedas no dieron el mismo resultado.",
            why="Con la misma semilla, cada ajuste es igual lo haga quien lo haga.",
            next_step="Compare las versiones de scikit-learn y de NumPy en las máquinas del clúster.",
        )


def describe(timing: Timing) -> str:
    """Una fila de la tabla que encabeza `HEADER`."""
    times = f"{timing.startup_seconds:>9.1f} s{timing.seconds:>9.1f} s"
    return f"{timing.way:<7}{timing.workers:>10}{times}{timing.speedup:>13.2f}{timing.efficiency:>12.0%}"


def compare_ways(*, workers: int, scheduler: str | None, trees: int, seed: int) -> tuple[list[Timing], GridSearchCV]:
    """Hace la búsqueda en serie, con joblib y con Dask, y muestra lo que tarda cada una en cuanto termina.

    Raises:
        LabError: si `scheduler` no responde, o si las tres no dan lo mismo.
    """
    if scheduler is not None:
        check_scheduler(scheduler)
    dask = local_cluster(workers) if scheduler is None else remote_cluster(scheduler)
    wines, timings, searches = load_wines(), [], []
    typer.echo(HEADER)
    for way, pool in {"serie": serial(), "joblib": processes(workers), "Dask": dask}.items():
        searches.append(build_search(trees=trees, seed=seed))
        work, warm_up = partial(searches[-1].fit, *wines), partial(build_search(trees=1, seed=seed).fit, *wines)
        timings.append(time_in(pool, way, work, warm_up=warm_up, reference=timings[0] if timings else None))
        typer.echo(describe(timings[-1]))
    require_same_scores(searches)
    return timings, searches[0]


def plot_timings(timings: Sequence[Timing]) -> Figure:
    """Segundos de búsqueda y de arranque de cada forma, con su aceleración y su eficiencia."""
    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    names, seconds = [timing.way for timing in timings], [timing.seconds for timing in timings]
    bars = axes.barh(names, seconds, color="tab:blue", label="búsqueda")
    notes = [f"×{timing.speedup:.2f}, {timing.efficiency:.0%}" for timing in timings]
    axes.bar_label(bars, notes, label_type="center", color="white")
    startups = [timing.startup_seconds for timing in timings]
    axes.barh(names, startups, left=seconds, color="lightgray", label="arranque")
    axes.set(xlabel="Segundos", title="La misma búsqueda: aceleración y eficiencia", ylim=(len(names) - 0.5, -0.5))
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def write_results(folder: Path, timings: Sequence[Timing], record: dict[str, Any]) -> None:
    """Escribe los tiempos y su figura; o todo, o nada."""
    with replace_folder(folder) as staging:
        plot_timings(timings).savefig(staging / RESULTS_PLOT, dpi=DPI)
        write_json(staging / RESULTS_RECORD, {**record, "ways": [asdict(timing) for timing in timings]})


def main(
    output: Annotated[
        Path, typer.Option(help="Carpeta de la ejecución; escribe en su «distribuido».", show_default="salidas")
    ] = OUTPUTS,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Procesos en esta máquina.")] = 2,
    scheduler: Annotated[str | None, typer.Option(help="Clúster de Dask ya en marcha: tcp://máquina:puerto.")] = None,
    trees: Annotated[int, typer.Option(min=1, max=5000, help="Árboles por modelo: lo que dura cada tarea.")] = 200,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Semilla de particiones y modelos.")] = 42,
    force: Annotated[bool, typer.Option("--force", help="Sustituir los resultados de otra ejecución.")] = False,
) -> None:
    """Hace la misma búsqueda en serie, con procesos y con Dask, y mide lo que se gana al repartirla."""
    options: dict[str, Any] = {"workers": workers, "scheduler": scheduler, "trees": trees, "seed": seed}
    parameters = {"data_sha256": sha256_of(WINE_CSV), **options, "grid": GRID, "folds": FOLDS}
    refuse_other_run(output / RESULTS_FOLDER, RESULTS_RECORD, parameters, force=force)
    timings, search = compare_ways(**options)
    best = {"params": search.best_params_, "average_precision": round(float(search.best_score_), 4)}
    versions = package_versions("scikit-learn", "joblib", "dask", "numpy")
    record = {"parameters": parameters, "best": best, "cores": cpu_count(), "versions": versions}
    write_results(output / RESULTS_FOLDER, timings, record)
    chosen = ", ".join(f"{name}={value}" for name, value in search.best_params_.items())
    typer.echo(f"Las tres eligen {chosen}, con precisión media de {search.best_score_:.3f}")
    typer.echo(f"Escrito en {output / RESULTS_FOLDER}")


if __name__ == "__main__":
    run_script(main)
