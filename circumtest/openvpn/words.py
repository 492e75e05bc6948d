"""The grammar of an `.ovpn` file: words, quotes, comments, and blocks like `<ca>` … `</ca>`.

The same as OpenVPN's own reader (options_parse.c), so that what is checked here is what it means.
It refuses to know what any directive does.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from circumtest.errors import ConfigError

_WORD = re.compile(
    r"""[ \t\r\f\v]*(?:
        (?P<comment>[\#;].*)
      | "(?P<double>(?:[^"\\]|\\[\\" ])*)"
      | '(?P<single>[^']*)'
      | (?P<plain>(?![\#;"'])(?:[^ \t\r\f\v\\]|\\[\\" ])+)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r'\\([\\" ])')
_OPENING = re.compile(r"<([A-Za-z0-9-]+)>")


class Directive(NamedTuple):
    """One directive: the number of its line, name, words behind it.

    `inline` is what stands between the tags of a block, with its lines' own numbering beginning at
    `number + 1`; None for what is no block.
    """

    number: int
    name: str
    args: tuple[str, ...] = ()
    inline: str | None = None


def directives(text: str, where: str, first: int = 1) -> Iterator[Directive]:
    """Every directive of `text`, whose first line has number `first`.

    Raises ConfigError naming `where` and the line for what is no directive.
    """
    lines = iter(enumerate(text.removeprefix("\ufeff").split("\n"), first))
    for number, line in lines:
        words = _words(line, f"line {number}", where)
        if not words:
            continue
        if tag := _OPENING.fullmatch(words[0]):
            inside = []
            for _, inner in lines:
                if inner.strip() == f"</{tag[1]}>":
                    break
                inside.append(inner.rstrip("\r"))
            else:
                place = f"line {number}"
                raise ConfigError(where, place, f"<{tag[1]}> is never closed", f"</{tag[1]}>")
            yield Directive(number, tag[1], inline="\n".join(inside))
        else:
            # OpenVPN takes the dashes of its command line here too.
            yield Directive(number, words[0].removeprefix("--"), tuple(words[1:]))


def quoted(word: str) -> str:
    """A word as OpenVPN reads it back, whatever is in it."""
    return '"' + word.replace("\\", r"\\").replace('"', r"\"") + '"'


def _words(line: str, place: str, where: str) -> list[str]:
    words, at, line = [], 0, line.rstrip()
    while at < len(line):
        found = _WORD.match(line, at)
        if found is None:
            remedy = r"close quotes; write \\ for a backslash, or / in names of files"
            raise ConfigError(where, place, "has an open quote or a lone backslash", remedy)
        at = found.end()
        if found["comment"] is not None:
            break
        if found["single"] is not None:
            word = found["single"]
        else:
            word = _ESCAPE.sub(r"\1", found["double"] if found["plain"] is None else found["plain"])
        if any(ord(one) < 32 or ord(one) == 127 for one in word):
            raise ConfigError(where, place, "has a control character")
        words.append(word)
    return words
