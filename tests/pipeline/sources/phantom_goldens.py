"""Golden checksums of the phantom. Remade only by hand, when the drawings are meant to change:

    python -m tests.pipeline.sources.phantom_goldens

with `DRAWING_VERSION` raised and a line in CHANGELOG.md in the same commit.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pipeline.sources.phantom import DRAWINGS, load

FILE = Path(__file__).with_name("phantom_goldens.json")
SEED = 2025
COUNT = 4


def checksums() -> dict[str, dict[str, str]]:
    """Return the SHA-256 of labels and pixels of the first images of a split of each domain."""
    found: dict[str, dict[str, str]] = {}
    for dataset in DRAWINGS:
        for split in ("pretest", "test"):
            clean = load(dataset, split, count=COUNT, seed=SEED)
            images = clean.read(range(COUNT))
            found.setdefault(dataset, {})[split] = hashlib.sha256(clean.labels.tobytes() + images.tobytes()).hexdigest()
    return found


if __name__ == "__main__":
    FILE.write_text(json.dumps(checksums(), indent=1) + "\n", encoding="utf-8")
    print(f"wrote {FILE}: say in CHANGELOG.md why")
