"""Run every benchmark that needs no GPU, one after the other: `python -m tests.bench`, which is `make bench`.

Prints their tables and leaves their JSON in build/bench/. The export's own benchmark needs a build and is left out
without one; the peers are left out where they are not installed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmark.models.extras import declare_box_operators
from pipeline.layout import Layout
from tests.bench import kernels, memory, pipeline

BUILT = Layout(".").root / "metrics" / "export.json"


def main() -> int:
    """Run them all; the exit code is 0 if each one's is."""
    declare_box_operators()  # medmnistc imports torchvision
    out = Path("build/bench")
    codes = [
        kernels.main(["--output", str(out / "kernels.json")]),
        pipeline.main(["--output", str(out / "pipeline.json")]),
        memory.main(["--images", "64", "640", "2000", "--output", str(out / "memory.json")]),
    ]
    if BUILT.exists():
        command = [sys.executable, "-m", "tests.bench.export", "--json", str(out / "export.json")]
        codes.append(subprocess.run(command, check=False).returncode)
    else:
        print("export beside datasets: left out, since there is no build (`dvc repro`)")
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
