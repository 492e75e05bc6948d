"""AnyTLS by sing-box: `anytls://` links.

UDP goes over TCP.  A server that does not know the password hangs up once TLS is through, as a
censor would who cuts it.  It refuses REALITY, which this build of sing-box does not speak.
"""

from dataclasses import dataclass
from typing import ClassVar

from circumtest.engine.sing_box import SingBoxLink


@dataclass(frozen=True)
class Anytls(SingBoxLink):
    """An AnyTLS server by link: the fields are those of every tunnel by link of sing-box's."""

    scheme: ClassVar[str] = "anytls"
