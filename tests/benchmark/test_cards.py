"""What the stages read of the cards is what `pipeline.describe` writes for them, or DVC would not rerun them."""

from __future__ import annotations

import shutil

import pytest
import yaml

from benchmark import predict, pretrain, report, score, tune
from pipeline import describe, prepare
from pipeline.workspace.datasets import Card

OPTIONS = {prepare: ["--dataset", "oct"], predict: ["--model", "phantom-clip"], tune: ["--model", "plain"]}


@pytest.fixture
def fields(monkeypatch):
    """The fields of cards that are read while the test runs."""
    read = set()

    def noticed(card, name):
        if name in Card.model_fields:
            read.add(name)
        return object.__getattribute__(card, name)

    monkeypatch.setattr(Card, "__getattribute__", noticed)
    return read


@pytest.mark.parametrize("protocol", ["own", "robustmedclip"])
def test_stages_read_no_more_of_a_card_than_is_described(trained, tmp_path, fields, protocol):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    values = yaml.safe_load((trained / "params.yaml").read_text())
    values["benchmark"] |= {"models": ["phantom-clip"], "protocol": protocol, "on_the_fly": True}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    for stage in (prepare, pretrain, tune, predict, score, report):
        fields.clear()
        assert stage.main(["--root", str(tmp_path), *OPTIONS.get(stage, [])]) == 0
        name = stage.__name__.partition(".")[2]
        assert set() < fields <= describe.READ[name], name
