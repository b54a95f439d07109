"""How fast the synthetic hand is drawn: images a second on one core, and peak memory.

Each repeat writes a whole data set in a process of its own, with one thread; the template's
building time (once a process) is printed apart. Seconds of the processor are printed beside those
of the clock, for machines that do other work meanwhile. Medians are what to quote.

    python benchmarks/sample_speed.py [--count 50] [--size 224] [--repeats 3]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

WRITE = """
import json, resource, sys, time
from pathlib import Path
from handbench.synthetic.dataset import evaluation_count, write_sample_dataset
from handbench.synthetic.skin import paint, palm_maps
from handbench.synthetic.surface import template
started = time.perf_counter()
template(), paint(), palm_maps()
built, busy = time.perf_counter(), time.process_time()
count, size = int(sys.argv[2]), int(sys.argv[3])
write_sample_dataset(Path(sys.argv[1]), count=count, size=size, progress=False)
done, spent = time.perf_counter(), time.process_time() - busy
images = 4 * count + evaluation_count(count)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([images / (done - built), images / spent, built - started, peak]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=50, help="training annotations")
    parser.add_argument("--size", type=int, default=224, help="pixels")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    results = []
    for _ in range(arguments.repeats):
        with tempfile.TemporaryDirectory() as folder:
            numbers = (str(arguments.count), str(arguments.size))
            done = subprocess.run(
                [sys.executable, "-c", WRITE, str(Path(folder) / "sample"), *numbers],
                env={**os.environ, **one_thread},
                check=True,
                capture_output=True,
                text=True,
            )
            results.append(json.loads(done.stdout))
    speed, busy, build, peak = (statistics.median(column) for column in zip(*results))
    print(f"{speed:.1f} images/s at {arguments.size} px, {arguments.count} annotations × 4")
    print(f"{busy:.1f} images per second of the processor")
    print(f"template built in {build:.2f} s; peak memory {peak:.0f} MiB")


if __name__ == "__main__":
    main()
