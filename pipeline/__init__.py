"""Clean source to released files; one module a stage, which meet on disk and never import each other."""

import sys
from importlib.util import find_spec

from pipeline.errors import missing_package

IMPORTED_FIRST = ("pydantic", "yaml", "isal", "jinja2", "PIL", "requests")
"""What stages import before their command line could say that it is missing; all of the extra ``pipeline``."""

# While Python looks for the module of `python -m pipeline.corrupt`, argv[0] is "-m" (its documentation of -m); a plain
# import raises as ever.
if sys.argv[:1] == ["-m"]:
    for _name in IMPORTED_FIRST:
        if find_spec(_name) is None:
            sys.exit(f"error: {missing_package(_name, 'pipeline')}")
