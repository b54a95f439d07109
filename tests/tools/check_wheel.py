"""Build the wheel, install it elsewhere without dependencies, and look at what it ships."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

# Runs in a bare interpreter: nothing but the standard library and the installed wheel.
LOOK = """
import tomllib
from pathlib import Path
import handbench
package = Path(handbench.__file__).parent
manifests = sorted(package.glob("manifests/*.toml"))
for manifest in manifests:
    facts = tomllib.loads(manifest.read_text(encoding="utf-8"))
    assert (package / "sources" / (facts["reader"] + ".py")).is_file(), manifest
shipped = [path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()]
print(handbench.__version__)
print("\\n".join(sorted(shipped)))
"""


def shipped_files(folder: Path) -> set[str]:
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder / "dist")],
        cwd=REPOSITORY,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (wheel,) = (folder / "dist").glob("*.whl")
    print(f"{wheel.name}: {wheel.stat().st_size / 1e3:,.0f} kB")
    site = folder / "site"
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet"]
    subprocess.run([*install, "--target", str(site), str(wheel)], check=True)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    version, *files = done.stdout.splitlines()
    print(f"handbench {version} imports without its dependencies")
    return set(files)


def expected_files() -> set[str]:
    package = REPOSITORY / "handbench"
    inside = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    return inside | {f"manifests/{path.name}" for path in (REPOSITORY / "manifests").iterdir()}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = {name for name in shipped_files(Path(folder)) if "__pycache__" not in name}
    expected = expected_files()
    if found != expected:
        sys.exit(
            f"the wheel lacks {sorted(expected - found)} and has beyond the tree "
            f"{sorted(found - expected)}"
        )
    data = sorted(name for name in found if not name.endswith(".py"))
    print(f"{len(found)} files shipped, among them: {', '.join(data)}")


if __name__ == "__main__":
    main()
