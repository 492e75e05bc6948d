"""TUIC 5 by sing-box: `tuic://` links.

A server that does not know us closes the connection without a word, after it has let TLS pass: only
an exchange with a far end tells.  It refuses TUIC 4, which has tokens.
"""

from dataclasses import dataclass
from typing import ClassVar

from circumtest.engine.sing_box import SingBoxLink


@dataclass(frozen=True)
class Tuic(SingBoxLink):
    """A TUIC server by link: the fields are those of every tunnel by link of sing-box's."""

    scheme: ClassVar[str] = "tuic"
