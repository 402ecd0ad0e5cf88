"""One module a family of models; `benchmark.models.registry` finds each by itself, and none imports another.

A family has

    RECORDS: tuple[ModelRecord | AdapterRecord, ...]
    def build(record: ModelRecord, files: Files, *, random_init: bool) -> Towers

of which ``build`` alone knows architecture, file format and tokenizer; adapters need none. One that also reads names of
models without a record here, such as ``hub:OWNER/NAME@COMMIT``, has what they begin with, their forms, and

    PREFIX: str
    FORMS: tuple[str, ...]
    def describe(name: str, *, folder: Path | None, offline: bool) -> ModelRecord
"""
