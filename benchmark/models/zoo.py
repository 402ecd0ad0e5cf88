"""The models, one record each."""
from benchmark.models.record import File, ModelError, Record, View

RECORDS: dict[str, Record] = {}


def record(name: str) -> Record:
    raise ModelError(f"no model {name!r}")
