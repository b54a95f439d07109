"""Recipes of the baseline side by side: the same file, network, size, batch, epochs; several seeds.

Every run trains on all of the split `train` and keeps its last weights, so that nothing is chosen;
then the split `test` is scored once. Prints a row a recipe: EPE in source pixels of every seed,
their mean with a 95 % interval (Student's t over the seeds), the AUC up to a fifth of the hand, and
the minutes that training took.

    python benchmarks/recipe_accuracy.py photos.h5 [--recipes simple-baselines handbench]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from scipy.stats import t

from handbench.models.recipes import RECIPES, resolve
from handbench.models.settings import TrainSettings
from handbench.models.training import train
from handbench.predictions.run import predict_split
from handbench.scores.scoring import evaluate

EPE, AUC = "EPE[px]", "AUC@0-0.2[tight,rule=exact]"


def interval(values: list[float]) -> float:
    """Half the width of the mean's 95 % interval."""
    count = len(values)
    factor: float = t.ppf(0.975, count - 1)
    return factor * statistics.stdev(values) / count**0.5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="HDF5 file with the splits train and test")
    parser.add_argument(
        "--recipes", nargs="+", default=["simple-baselines", "handbench"], choices=RECIPES
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--depth", type=int, default=18)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=20)
    parser.add_argument("--split", default="test", help="what is scored")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    same = {
        "data": (arguments.data,),
        "epochs": arguments.epochs,
        "depth": arguments.depth,
        "size": arguments.size,
        "batch_size": arguments.batch_size,
        "accumulate": 1,
        "pretrained": "none",
        "precision": "auto",
        "early_size": None,
        "val_fraction": 0.0,
        "split_val": "none",
        "sheet": 0,
        "device": arguments.device,
    }
    print(f"| recipe | EPE of {len(arguments.seeds)} seeds, px | mean | AUC | minutes |")
    print("|---|---|---|---|---|", flush=True)
    for recipe in arguments.recipes:
        errors, areas, minutes = [], [], []
        for seed in arguments.seeds:
            with tempfile.TemporaryDirectory() as folder:
                settings = TrainSettings(
                    **resolve(recipe, {**same, "out": Path(folder) / "run", "seed": seed})
                )
                start = time.perf_counter()
                run = train(settings)
                minutes.append((time.perf_counter() - start) / 60)
                predictions = predict_split(
                    run,
                    arguments.data,
                    arguments.split,
                    device=arguments.device,
                    looks=settings.looks,
                )
            metrics = evaluate(predictions, arguments.data, "handbench").results[0].metrics
            errors.append(_number(metrics[EPE].value))
            areas.append(_number(metrics[AUC].value))
        print(
            f"| `{recipe}` | {', '.join(f'{error:.2f}' for error in errors)} | "
            f"{statistics.mean(errors):.2f} ± {interval(errors):.2f} | "
            f"{statistics.mean(areas):.3f} | {statistics.median(minutes):.1f} |",
            flush=True,
        )


def _number(score: float | None) -> float:
    return float("nan") if score is None else score


if __name__ == "__main__":
    main()
