"""Packages that only some models need: imported when such a model is asked for, and named when they are missing."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.errors import UserError, missing_package

ZOO = ("ftfy", "num2words", "open_clip", "timm", "torchvision")
"""Packages of the extra ``zoo``; everything else that a family needs comes with the extra ``benchmark``."""

BOX_OPERATORS = ("nms", "qnms")
"""Operators that torchvision 0.28 expects its compiled part to have declared, torchvision/_meta_registrations.py."""

BROKEN = (TypeError, ValueError, LookupError, AttributeError, RuntimeError, ArithmeticError, AssertionError, OSError)
"""What open_clip, PEFT, timm and transformers raise for settings that they do not check before they use them."""

_DECLARED: list[Any] = []


def package(name: str) -> ModuleType:
    """Import a package or a module of it.

    Raises:
        UserError: it is not installed; names the extra to install.
    """
    top = name.partition(".")[0]
    declare_box_operators()  # transformers imports torchvision too where it is installed
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or top).partition(".")[0]
        if missing != top and missing not in ZOO:
            raise
        extra = "zoo" if missing in ZOO else "benchmark"
        raise UserError(missing_package(missing, extra)) from error


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep transformers from telling on the terminal what an error's sentence tells better."""
    logging = package("transformers.utils.logging")
    verbosity, had_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.set_verbosity(verbosity)
        if had_bars:
            logging.enable_progress_bar()


def declare_box_operators() -> None:
    """Let torchvision's CUDA wheel, which is the one on PyPI, be imported beside a CPU build of torch.

    Its compiled part can't be loaded there, and its import then stops at two operators of box detection that nothing
    has declared. No model here detects boxes, so a declaration without an implementation is enough; a call would fail.
    Nothing happens where the compiled part loads, or torchvision is not installed.
    """
    if _DECLARED or "torchvision" in sys.modules:
        return
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return
    import torch

    for library in Path(spec.origin).parent.glob("_C*.so"):
        try:
            torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
        except OSError:  # the libraries of CUDA are not there
            operators: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
            for operator in BOX_OPERATORS:
                operators.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            _DECLARED.append(operators)
