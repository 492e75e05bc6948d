"""Findings as Markdown: the same rows as the text."""

from tabulate import tabulate

from circumtest.finding import Findings
from circumtest.report import appearances, rows


def markdown(findings: Findings, *, long: bool = False) -> str:
    """Answer, matrices, with `long` every cell's numbers, what an observer sees, the caveats."""
    parts = [f"# {findings.outline.name}", *rows.answer(findings)]
    parts += [laid_out(one) for one in rows.matrices(findings)]
    if long:
        parts.append(laid_out(rows.long(findings)))
    if seen := appearances.appearances(findings.sightings):
        parts.append(laid_out(seen))
    if said := (*rows.caveats(findings), *appearances.caveats(findings.sightings)):
        parts.append("\n".join(["## What to know", "", *(f"- {one}" for one in said)]))
    outline = findings.outline
    parts.append(f"Plan `{outline.name}` `{outline.hash[:12]}`, seed {outline.seed}.")
    return rows.printable("\n\n".join(parts) + "\n")


def laid_out(one: rows.Table) -> str:
    """A titled table in Markdown."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in one.rows]
    laid = tabulate(cells, headers=one.heads, tablefmt="pipe", disable_numparse=True)
    return rows.printable(f"## {one.title}\n\n{laid}")
