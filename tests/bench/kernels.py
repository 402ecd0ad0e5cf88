"""How fast the kernels are, beside other people's: `python -m tests.bench.kernels`.

Every contender makes the same seven corruptions of the same 224 x 224 colour photographs at the same five strengths, in
one process and one thread, in turns, so that a busy machine disturbs all of them alike. Times are CPU time; a number is
the median of the rounds, in images per CPU second. `make bench` brings the peers.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import numpy as np
import skimage.data
from numpy.typing import NDArray

import corruptions
from corruptions import CORRUPTIONS, SEVERITIES, Strength, cpu, draws, strength
from corruptions.table import DRAWS

Image = NDArray[np.uint8]
Work = Callable[[], object]
# The two profiles differ in two kernels; imagecorruptions has the first ones, medmnistc the second.
ROWS = {
    **{strength(name, 1).kernel: (name, "imagenet-c") for name in CORRUPTIONS},
    **{
        strength(name, 1, profile="modality", column="pbc").kernel: (name, "modality")
        for name in ("brightness", "contrast")
    },
}
DISTRIBUTIONS = (
    "medimeta-c",
    "numpy",
    "numba",
    "imagecorruptions",
    "medmnistc",
    "Pillow",
    "scipy",
    "scikit-image",
    "Wand",
)
PEER_IMAGES = 2


class Timing(NamedTuple):
    """Images per CPU second: the median of the rounds, and the slowest and fastest of them."""

    median: float
    slowest: float
    fastest: float


def photographs(count: int) -> Image:
    """Return `count` parts of a retina and a stained tissue; uint8 (N, 224, 224, 3)."""
    eye, tissue = skimage.data.retina(), skimage.data.immunohistochemistry()
    parts = []
    for i in range(count):
        picture = (eye, tissue)[i % 2]
        top, left = (37 * i) % (picture.shape[0] - 224), (101 * i) % (picture.shape[1] - 224)
        parts.append(picture[top : top + 224, left : left + 224])
    return np.ascontiguousarray(np.stack(parts))


def chosen(kernel: str, severity: int) -> Strength:
    """Return the strength of a row at a severity."""
    name, profile = ROWS[kernel]
    return strength(name, severity, profile=profile, column="pbc")


def draw(images: Image, kernel: str) -> list[Any]:
    """Draw what the kernel takes: one array or none."""
    key = draws.key(1, "pbc", "test", ROWS[kernel][0])
    if DRAWS.get(kernel) == "angles":
        return [draws.angles(key, range(len(images)))]
    if DRAWS.get(kernel) == "uniforms":
        return [draws.uniforms(key, range(len(images)), images[0].size).reshape(images.shape)]
    return []


# Contenders: each gives the work of one kernel at one severity on a batch, or None where it has no such kernel


def ours(images: Image, kernel: str, severity: int) -> Work:
    """The kernel with a fifth of its draw, which five severities share."""
    drawn, parameters = draw(images, kernel), chosen(kernel, severity).parameters
    fifth = images[: -(-len(images) // len(SEVERITIES))]

    def work() -> object:
        draw(fifth, kernel)
        return getattr(cpu, kernel)(images, *drawn, **parameters)

    return work


def by_imagecorruptions(images: Image, kernel: str, severity: int) -> Work | None:
    """The package imagecorruptions, at ImageNet-C's strengths, which are ours."""
    name, profile = ROWS[kernel]
    try:
        from imagecorruptions import corrupt
    except ImportError:  # a peer that is not installed is left out of the table
        return None
    if profile != "imagenet-c":
        return None
    return lambda: [corrupt(image, corruption_name=name, severity=severity) for image in images]


def by_medmnistc(images: Image, kernel: str, severity: int) -> Work | None:
    """The package medmnistc, its classes given our strengths."""
    try:
        from medmnistc.corruptions.compression import Pixelate
        from medmnistc.corruptions.enhance import Brightness, Contrast
        from medmnistc.corruptions.filter import MotionBlur, ZoomBlur
        from medmnistc.corruptions.noise import GaussianNoise, ImpulseNoise
        from PIL import Image as Pillow
    except ImportError:  # a peer that is not installed is left out of the table
        return None
    # medmnistc 0.1.0 calls a form of np.fromstring that NumPy 2.3 took away; frombuffer is what it did.
    np.fromstring = np.frombuffer
    classes = {
        "gaussian_noise": (GaussianNoise, lambda std: std),
        "impulse_noise": (ImpulseNoise, lambda amount: amount),
        "motion_blur": (MotionBlur, lambda radius, sigma: (radius, sigma)),
        "zoom_blur": (ZoomBlur, lambda percents: np.array(percents) / 100),
        "scale": (Brightness, lambda percent: percent / 100),
        "luma_mean": (Contrast, lambda percent: percent / 100),
        "pixelate": (Pixelate, lambda percent: percent / 100),
    }
    if kernel not in classes:
        return None
    made, reading = classes[kernel]
    corruption = made([reading(**chosen(kernel, level).parameters) for level in SEVERITIES])
    corruption.rng = np.random.default_rng(0)
    pictures = [Pillow.fromarray(image) for image in images]
    return lambda: [corruption.apply(picture, severity - 1) for picture in pictures]


def by_formula(images: Image, kernel: str, severity: int) -> Work | None:
    """The literature's formulas in SciPy, scikit-image, Pillow and ImageMagick, as this project has them."""
    try:
        from corruptions import literature
    except corruptions.BackendUnavailable:  # its packages are optional
        return None
    drawn, parameters = draw(images, kernel), chosen(kernel, severity).parameters
    return lambda: getattr(literature, kernel)(images, *drawn, **parameters)


PEERS = {"imagecorruptions": by_imagecorruptions, "medmnistc": by_medmnistc, "formulas": by_formula}


def measured(works: dict[str, tuple[Work, int]], rounds: int) -> dict[str, Timing]:
    """Run each work of so many images `rounds` times, in turns, after one run that does not count."""
    rates: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, (work, count) in works.items():
            start = time.process_time()
            work()
            spent = time.process_time() - start
            if turn:
                rates[name].append(count / spent)
    return {name: Timing(statistics.median(r), min(r), max(r)) for name, r in rates.items()}


def contenders(images: Image, kernel: str, severity: int) -> dict[str, tuple[Work, int]]:
    """Return the works of everybody who has the kernel, with the number of images of each."""
    out = np.empty_like(images)
    works: dict[str, tuple[Work, int]] = {
        "ours": (ours(images, kernel, severity), len(images)),
        "copy": (lambda: np.copyto(out, images), len(images)),
    }
    for peer, make in PEERS.items():
        work = make(images[:PEER_IMAGES], kernel, severity)
        if work is not None:
            works[peer] = (work, PEER_IMAGES)
    return works


def table(results: dict[str, dict[int, dict[str, Timing]]]) -> Iterator[str]:
    """Yield the lines of the printed table: rates, then how many times a peer's rate ours is."""
    others = ["copy", *PEERS]
    yield f"{'kernel':15}{'severity':>9}{'images/s':>10}" + "".join(f"{'x ' + peer:>19}" for peer in others)
    for kernel, severities in results.items():
        for severity, timings in severities.items():
            own = timings["ours"].median
            ratios = [own / timings[peer].median if peer in timings else None for peer in others]
            cells = "".join(f"{'-':>19}" if ratio is None else f"{ratio:>19.3g}" for ratio in ratios)
            yield f"{kernel:15}{severity:>9}{own:>10.0f}" + cells


def totals(results: dict[str, dict[int, dict[str, Timing]]]) -> dict[str, dict[str, float]]:
    """Return, for each peer and kernel that both have, the ratio of the time of all severities; under "all" of all."""
    ratios: dict[str, dict[str, float]] = {}
    for peer in PEERS:
        theirs_sum = ours_sum = 0.0
        for kernel, severities in results.items():
            if not all(peer in timings for timings in severities.values()):
                continue
            if peer == "formulas" and ROWS[kernel][1] != "imagenet-c":
                continue  # one brightness and one contrast, as for the others
            theirs = sum(1 / timings[peer].median for timings in severities.values())
            own = sum(1 / timings["ours"].median for timings in severities.values())
            ratios.setdefault(peer, {})[kernel] = theirs / own
            theirs_sum, ours_sum = theirs_sum + theirs, ours_sum + own
        if ours_sum:
            ratios[peer]["all"] = theirs_sum / ours_sum
    return ratios


def limit_opencv() -> None:
    """Keep the peers' OpenCV to one thread."""
    try:
        import cv2
    except ImportError:  # then no peer uses it
        return
    cv2.setNumThreads(1)


def machine() -> dict[str, Any]:
    """Return what the numbers were measured on: processor, system, versions."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    versions = {"python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # said in the report
            versions[name] = "not installed"
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "versions": versions,
    }


def main(argv: list[str] | None = None) -> int:
    """Measure, print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64, help="images of a batch of ours (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default %(default)s)")
    parser.add_argument("--kernels", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="KERNEL")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("build/bench/kernels.json"))
    arguments = parser.parse_args(argv)
    warnings.filterwarnings("ignore", module="imagecorruptions|medmnistc|skimage|pkg_resources")

    limit_opencv()
    images = photographs(arguments.images)
    results: dict[str, dict[int, dict[str, Timing]]] = {}
    for kernel in arguments.kernels:
        results[kernel] = {}
        for severity in SEVERITIES:
            if sys.stderr.isatty():
                print(f"\r{kernel} {severity}      ", end="\r", file=sys.stderr, flush=True)
            results[kernel][severity] = measured(contenders(images, kernel, severity), arguments.rounds)
    print("\n".join(table(results)))
    ratios = totals(results)
    for peer in PEERS:
        found = ratios.get(peer)
        line = "not installed" if found is None else ", ".join(f"{kernel} {r:.3g}" for kernel, r in found.items())
        print(f"time of {peer} over ours, five severities: {line}")
    report = {
        "machine": machine(),
        "unit": "224 x 224 x 3 images per CPU second, one thread",
        "images": arguments.images,
        "rounds": arguments.rounds,
        "ratios": ratios,
        "rates": {
            kernel: {severity: {name: t._asdict() for name, t in timings.items()} for severity, timings in rows.items()}
            for kernel, rows in results.items()
        },
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report, indent=1) + "\n")
    print(f"wrote {arguments.output}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
