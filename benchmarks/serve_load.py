"""Latency, throughput and memory of `handbench serve` on this machine.

python benchmarks/serve_load.py [MODEL] [--seconds 30] [--requests 2000]
python benchmarks/serve_load.py serve_load:still   # the server without a network

Starts the real server on a free port of 127.0.0.1, sends it one picture of synthetic hands after
another with 1, 8 and 64 clients that each wait for their answer, and looks at its memory over many
requests. Answers other than 200 are counted apart: 429 is what a full queue says.
"""

from __future__ import annotations

import argparse
import http.client
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

SAMPLES = Path(__file__).resolve().parents[1] / "handbench" / "web" / "samples"
HEADERS = {"Content-Type": "image/jpeg"}
LONGEST_PAUSE_S = 1.0


def still(images: np.ndarray) -> np.ndarray:
    """A model that costs nothing, for the server's own time and memory: `serve_load:still`."""
    places = np.random.default_rng(0).uniform(0.2, 0.8, (21, 2)) * images.shape[1]
    return np.broadcast_to(places, (len(images), 21, 2))


def start(model: str) -> tuple[subprocess.Popen[str], str]:
    """The server, and where it listens."""
    command = [sys.executable, "-m", "handbench", "serve", model, "--port", "0", "--quiet"]
    folder = Path(__file__).parent  # where `serve_load:still` is found
    paths = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": paths}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    line = process.stdout.readline() if process.stdout else ""
    return process, urlsplit(line.split(" at ")[1].split()[0]).netloc


def client(address: str, ends: float, took: list[float], statuses: Counter[object]) -> None:
    """Send pictures until the time is over; wait a little after a 429."""
    pictures = [path.read_bytes() for path in sorted(SAMPLES.glob("*.jpg"))]
    connection = http.client.HTTPConnection(address, timeout=60)
    number = 0
    while time.monotonic() < ends:
        began = time.monotonic()
        try:
            connection.request("POST", "/api/v1/predict", pictures[number % 5], HEADERS)
            response = connection.getresponse()
            response.read()
        except OSError as error:
            statuses[type(error).__name__] += 1
            connection.close()
            continue
        statuses[response.status] += 1
        if response.status == 200:
            took.append(time.monotonic() - began)
            number += 1
        else:
            pause = float(response.headers.get("Retry-After", 0))
            time.sleep(min(pause, LONGEST_PAUSE_S))
    connection.close()


def load(address: str, clients: int, seconds: float) -> None:
    """One row of the table."""
    took: list[float] = []
    statuses: Counter[object] = Counter()
    began = time.monotonic()
    threads = [
        threading.Thread(target=client, args=(address, began + seconds, took, statuses))
        for _ in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.monotonic() - began
    p50, p99 = np.percentile(1e3 * np.array(took), [50, 99]) if took else (np.nan, np.nan)
    others = ", ".join(f"{count}x {word}" for word, count in statuses.items() if word != 200)
    print(
        f"| {clients:7} | {len(took) / wall:10.1f} | {p50:6.0f} | {p99:6.0f} | {others or '-'} |",
        flush=True,
    )


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS: memory is read from /proc, which Linux alone has")


def memory(address: str, pid: int, requests: int) -> None:
    """Memory over many requests, with pages and refusals among them."""
    picture = next(SAMPLES.glob("*.jpg")).read_bytes()
    connection = http.client.HTTPConnection(address, timeout=60)
    for number in range(requests + 1):
        if number % (requests // 4) == 0:
            print(f"after {number:5} requests: {memory_mb(pid):7.1f} MB", flush=True)
        kind = number % 10
        method, path = ("GET", "/") if kind == 8 else ("POST", "/api/v1/predict")
        body = None if kind == 8 else (picture[:-900] if kind == 9 else picture)
        connection.request(method, path, body, HEADERS)
        connection.getresponse().read()
    connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="untrained")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--requests", type=int, default=2000)
    arguments = parser.parse_args()
    process, address = start(arguments.model)
    try:
        if arguments.seconds:
            print("| clients | requests/s | p50 ms | p99 ms | other answers |")
            print("|---:|---:|---:|---:|---|")
            for clients in (1, 8, 64):
                load(address, clients, arguments.seconds)
        memory(address, process.pid, arguments.requests)
        if process.poll() is not None:
            sys.exit("the server has died")
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    main()
