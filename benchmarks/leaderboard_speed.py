"""Speed of a leaderboard: 1,000 results files → a static site.

    python benchmarks/leaderboard_speed.py [--results N] [--keep DIR]

Prints the time to collect the results and to write the site, how many files and megabytes that
makes, and the largest page. Wanted: both within 10 s on one core.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "leaderboard")]

from many_results import write_many  # noqa: E402 - found through the line above

from handbench.leaderboard.collect import collect  # noqa: E402
from handbench.leaderboard.site import write_site  # noqa: E402

WANTED_S = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--results", type=int, default=1000)
    parser.add_argument("--keep", type=Path, help="write the site here, and leave it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        write_many(results, options.results)
        started, started_cpu = time.perf_counter(), time.process_time()
        board = collect([results])
        collected, collected_cpu = time.perf_counter(), time.process_time()
        site = options.keep or Path(folder) / "site"
        write_site(board, site)
        written, written_cpu = time.perf_counter(), time.process_time()
        files = [path for path in site.rglob("*") if path.is_file()]
        pages = [path for path in files if path.suffix == ".html"]
        largest = max(pages, key=lambda path: path.stat().st_size)
        size = sum(path.stat().st_size for path in files) / 1e6
        print(f"{options.results:,} results, {len(board.models):,} models")
        for what, wall, cpu in (
            ("collect", collected - started, collected_cpu - started_cpu),
            ("write", written - collected, written_cpu - collected_cpu),
            ("both", written - started, written_cpu - started_cpu),
        ):
            print(f"{what:8}{wall:6.2f} s, of a core {cpu:6.2f} s")
        print(f"wanted  {WANTED_S:6.2f} s; {len(files):,} files, {size:.1f} MB")
        print(f"largest {largest.relative_to(site)}, {largest.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
