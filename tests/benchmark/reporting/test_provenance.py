from benchmark.prediction.records import FileDescription
from benchmark.reporting import provenance
from benchmark.tuning.records import TuningSettings, TuningSummary

from ..conftest import prediction_record


def lines(record):
    return [(what.text, value.text) for what, value in provenance.model_table("m", "M", record).rows]


def test_what_was_scored_is_written_down():
    record = prediction_record("rmedclip", base="biomedclip", logit_scale=84.912, device="cuda")
    files = (
        FileDescription(name="w.bin", repo="someone/clip", revision="c0ffee", sha256="5ea1"),
        FileDescription(name="w.bin", origin="https://there", sha256="5ea1"),
        FileDescription(name="w.bin"),
    )
    tuning = TuningSummary(
        settings=TuningSettings(base="biomedclip", rank=8, augment=True, seed=1),
        shots={"oct": 64},
        parameters=12345,
        corruptions=("contrast",),
        best_epoch=3,
        scale=0.8,
        chosen_on="rest of train, and val",
    )
    record = record.changed(tuning=tuning, model=record.model.changed(files=files, preprocessing="224 px bicubic"))
    said = lines(record)
    assert ("File", "w.bin of someone/clip at c0ffee, SHA-256 5ea1") in said
    assert ("File", "w.bin of https://there, SHA-256 5ea1") in said
    assert ("File", "w.bin of a local folder") in said
    values = dict(said)
    assert (values["Base"], values["Licence"], values["Logit scale"]) == ("biomedclip", "MIT", "84.91")
    assert values["Image tower, SHA-256"] == "of rmedclip"
    assert values["Images"] == "224 px bicubic"
    assert (values["Shots"], values["Parameters trained"]) == ("oct 64", "12,345")
    assert "rank 8" in values["Tuned"]
    assert values["Kept"] == "epoch 3, 0.8 of its update, chosen on rest of train, and val, neither tuned on nor scored"


def test_what_is_not_known_is_left_out():
    values = dict(lines(prediction_record("clip")))
    assert values["Base"] == "itself"
    assert not {"Tuned", "Remarks", "File"} & set(values)
