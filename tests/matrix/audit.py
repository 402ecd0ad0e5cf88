"""Look every pinned version up: is it withdrawn, has it a known vulnerability.

    python -m tests.matrix.audit

Asks the package index by pip, and the vulnerability service by pip-audit. Both need the network: what could not be
looked up is a finding.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.matrix.requirements import REPOSITORY


def main() -> int:
    """Audit constraints.txt and the Makefile's own pins; return 1 if there is anything to mend or explain."""
    codes = [_audit("constraints.txt", (REPOSITORY / "constraints.txt").read_text(encoding="utf-8"))]
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    codes.append(_audit("Makefile", "\n".join(sorted(set(re.findall(r"[\w.-]+==[\w.]+", makefile)))) + "\n"))
    return max(codes)


def _audit(name: str, pins: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "pins.txt"
        listed.write_text(pins, encoding="utf-8")
        print(f"{name}: {len(pins.splitlines())} pins", flush=True)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-color"]
        install = [*pip, "install", "--dry-run", "--ignore-installed", "--no-deps", "-r", str(listed)]
        asked = subprocess.run(install, capture_output=True, text=True)
        # pip warns of a withdrawn version, and installs it all the same.
        withdrawn = [line for line in asked.stderr.splitlines() if "yanked" in line or line.startswith("ERROR")]
        print("\n".join(withdrawn) if withdrawn else "none is withdrawn", flush=True)
        # Without --strict, pip-audit calls clean what it could not look up.
        audit = ["pip_audit", "--strict", "--no-deps", "--disable-pip", "--progress-spinner", "off", "-r", str(listed)]
        audited = subprocess.run([sys.executable, "-m", *audit])
    return int(bool(withdrawn) or asked.returncode != 0 or audited.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
