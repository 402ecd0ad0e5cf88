"""The report's documents from their templates: HTML, Markdown and LaTeX, each with its own escapes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Undefined
from markupsafe import Markup, escape

from benchmark.reporting.content import Content
from benchmark.reporting.tables import one_line

_TEMPLATES = Path(__file__).parent / "templates"

_TEX = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "–": "--",
    "−": "$-$",
    "±": r"$\pm$",
    "“": "``",
    "”": "''",
    "\N{REPLACEMENT CHARACTER}": "?",
}

_TEX_SYNTAX = {
    "block_start_string": "((*",
    "block_end_string": "*))",
    "variable_start_string": "(((",
    "variable_end_string": ")))",
    "comment_start_string": "((=",
    "comment_end_string": "=))",
}


def html(content: Content) -> str:
    """Return the page; everything that it shows is in it."""
    return _render("report.html.j2", content, lambda words: str(escape(words)))


def markdown(content: Content) -> str:
    """Return the tables as Markdown."""
    return _render("report.md.j2", content, escape_markdown)


def latex(content: Content) -> str:
    """Return tables and figures for LaTeX's packages booktabs and graphicx."""
    return _render("report.tex.j2", content, escape_latex, **_TEX_SYNTAX)


def escape_markdown(words: str) -> str:
    """Return text that stands as it is in one line, or one cell of a table, of GitHub's Markdown."""
    words = re.sub(r"([\\`*|<>\[\]~]|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;))", r"\\\1", words)
    return re.sub(r"(?<=\w)://", r":\\//", words)


def escape_latex(words: str) -> str:
    """Return text that LaTeX prints as it is."""
    return "".join(_TEX.get(character, character) for character in words)


def _render(template: str, content: Content, escaped: Callable[[str], str], **syntax: str) -> str:
    """Fill in a template. Whatever stands in it as a value is escaped; what macros return is so already."""

    def finalize(value: object) -> object:
        is_done = isinstance(value, Undefined) or hasattr(value, "__html__")
        return value if is_done else Markup(escaped(one_line(value)))

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **syntax,  # type: ignore[arg-type]
    )
    return environment.get_template(template).render(vars(content))
