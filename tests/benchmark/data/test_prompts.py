"""Class names to sentences."""

import subprocess
import sys

import pytest

from benchmark.data.prompts import prompts, readable
from pipeline.workspace.paths import Workspace

from ..conftest import CLASSES


def test_prompts_come_from_the_manifest_in_label_order(workspace):
    of_oct = prompts(Workspace(workspace), "oct", templates="single")
    assert of_oct.class_names == tuple(CLASSES["oct"])
    assert of_oct.sentences[2] == ("a medical image of drusen, retinal optical coherence tomography",)
    with pytest.raises(ValueError, match="no templates 'many'; have single, ensemble"):
        prompts(Workspace(workspace), "oct", templates="many")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("BAS Basophil", "basophil"),
        ("LYT Lymphocyte (typical)", "lymphocyte (typical)"),
        ("CNV", "CNV"),
        ("NORMAL", "normal"),
        ("immature granulocyte", "immature granulocyte"),
        ("left_lung", "left lung"),
    ],
)
def test_readable(name, words):
    assert readable(name) == words


def test_records_are_read_without_torch():
    """Scoring and the report read them, and start up in a moment."""
    modules = "benchmark.prediction.records, benchmark.prediction.logits, benchmark.tuning.records"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules or 'benchmark.models' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
