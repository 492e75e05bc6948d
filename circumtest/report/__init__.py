"""Findings shown: text, Markdown and JSON from the same values.

It refuses to compute anything: what is not in the findings is not said.
"""

from typing import Literal

import msgspec

from circumtest.finding import Findings
from circumtest.report.markdown import markdown
from circumtest.report.text import text

Form = Literal["text", "markdown", "json"]
FORMS: tuple[Form, ...] = ("text", "markdown", "json")


def render(findings: Findings, form: Form, *, long: bool = False) -> str:
    """The findings in one of FORMS, ending with a newline."""
    match form:
        case "text":
            return text(findings, long=long)
        case "markdown":
            return markdown(findings, long=long)
        case "json":
            return msgspec.json.format(msgspec.json.encode(findings)).decode() + "\n"
