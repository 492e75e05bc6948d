"""Findings as text for a terminal: meaningful without colour."""

from tabulate import tabulate

from circumtest.finding import Findings
from circumtest.report import appearances, rows


def text(findings: Findings, *, long: bool = False) -> str:
    """Answer, one matrix a policy, with `long` every cell's numbers, what an observer sees, then
    the caveats."""
    parts = ["\n".join(rows.answer(findings))]
    parts += [table(one, "simple") for one in rows.matrices(findings)]
    if long:
        parts.append(table(rows.long(findings), "simple"))
    if seen := appearances.appearances(findings.sightings):
        parts.append(table(seen, "simple"))
    if said := (*rows.caveats(findings), *appearances.caveats(findings.sightings)):
        parts.append("\n".join(f"! {one}" for one in said))
    outline = findings.outline
    parts.append(f"plan {outline.name} {outline.hash[:12]}, seed {outline.seed}")
    return rows.printable("\n\n".join(parts) + "\n")


def table(one: rows.Table, style: str) -> str:
    """A titled table in one of tabulate's styles."""
    laid = tabulate(one.rows, headers=one.heads, tablefmt=style, disable_numparse=True)
    return rows.printable(f"{one.title}\n\n{laid}")
