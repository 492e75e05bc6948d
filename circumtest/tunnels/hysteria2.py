"""Hysteria 2 by sing-box: `hysteria2://` and `hy2://` links, plain or obfuscated (Salamander).

A server that does not know the password answers like a web site over HTTP/3, and is told apart from
one that is silent.  It refuses disguises that sing-box does not have.
"""

from dataclasses import dataclass
from typing import ClassVar

from circumtest.engine.sing_box import SingBoxLink


@dataclass(frozen=True)
class Hysteria2(SingBoxLink):
    """A Hysteria 2 server by link: the fields are those of every tunnel by link of sing-box's."""

    scheme: ClassVar[str] = "hysteria2"
