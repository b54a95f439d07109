"""Time and peak memory of reading FreiHAND's training vertices: 1.6 GB of JSON.

    python benchmarks/vertices_memory.py [--annotations N] [--keep FOLDER]

Writes a file of the true size (32,560 meshes of 778 vertices) once, then reads it in a process of
its own as `convert freihand --with vertices` does, and a tenth of it with Python's json module,
which takes too much memory for the whole.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

READ = """
import resource, sys, time
import numpy as np
start = time.perf_counter()
if sys.argv[1] == "json":
    import json
    vertices = np.array(json.load(open(sys.argv[2])), dtype=np.float32)
else:
    from pathlib import Path
    from handbench.sources.archive import Folder
    from handbench.sources.json_stream import iterate_entries
    path = Path(sys.argv[2])
    vertices = np.empty((int(sys.argv[3]), 778, 3), dtype=np.float32)
    stream = Folder(path.parent).stream(path.name)
    for row, entry in enumerate(iterate_entries(stream, path.name)):
        vertices[row] = entry
    stream.close()
    assert row == len(vertices) - 1
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(time.perf_counter() - start, peak, float(vertices.mean()))
"""


def write(path: Path, annotations: int) -> None:
    """A JSON list of meshes with the digits that FreiHAND's has."""
    rng = np.random.default_rng(0)
    texts = [json.dumps((0.1 * rng.normal(size=(778, 3)) + [0, 0, 0.7]).tolist()) for _ in range(8)]
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        for row in range(annotations):
            file.write(("" if row == 0 else ", ") + texts[row % len(texts)])
        file.write("]")


def measured(*arguments: str) -> tuple[float, float]:
    """Seconds and peak bytes of one reading process."""
    done = subprocess.run(
        [sys.executable, "-c", READ, *arguments], capture_output=True, text=True, check=True
    )
    seconds, peak, _ = map(float, done.stdout.split())
    return seconds, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--annotations", type=int, default=32_560)
    parser.add_argument("--keep", type=Path, help="folder for the files, made where they are not")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        sizes = {"whole": options.annotations, "tenth": options.annotations // 10}
        paths = {name: folder / f"{name}_verts.json" for name in sizes}
        for name, path in paths.items():
            if not path.exists():
                write(path, sizes[name])
        size = paths["whole"].stat().st_size
        seconds, peak = measured("handbench", str(paths["whole"]), str(sizes["whole"]))
        print(f"{sizes['whole']:,} meshes, {size / 1e9:.2f} GB of JSON")
        print(f"  handbench           {seconds:6.1f} s, peak {peak / 1e9:.2f} GB (wanted < 2 GB)")
        seconds, peak = measured("json", str(paths["tenth"]))
        print(f"  json.load, a tenth  {seconds:6.1f} s, peak {peak / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
