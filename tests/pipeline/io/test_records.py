import pytest

from pipeline.errors import UserError
from pipeline.io.records import Record, read_record


class Row(Record):
    name: str
    size: int = 0


class Table(Record):
    rows: tuple[Row, ...] = ()
    by_name: dict[str, Row] = {}  # noqa: RUF012
    last: Row | None = None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"rows": [{"name": "a", "seize": 1}]}', "rows.0 has no 'seize'; have name, size"),
        ('{"by_name": {"a": {"name": "a", "seize": 1}}}', "by_name.a has no 'seize'; have name, size"),
        ('{"last": {"name": "a", "seize": 1}}', "last has no 'seize'; have name, size"),
        ('{"first": 1}', "it has no 'first'; have rows, by_name, last"),
        ('{"rows": [{}]}', "rows.0 lacks name"),
        ('{"rows": 3}', "rows must be a list, not 3"),
        ('{"last": {"name": "a", "size": NaN}}', "last.size must be"),
        ("[]", "it must be a mapping"),
        ("", "is not JSON"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(tmp_path, text, said):
    path = tmp_path / "table.json"
    path.write_text(text)
    with pytest.raises(UserError) as refused:
        read_record(path, Table, remedy="make it anew")
    assert f"{path}: {said}" in str(refused.value)
    assert str(refused.value).endswith(": make it anew")
