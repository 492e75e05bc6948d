"""What a directive gives: between its tags, or in the file that it names."""

from circumtest.beside import Beside
from circumtest.errors import ConfigError
from circumtest.material import Given
from circumtest.openvpn.words import Directive


class Files(Beside):
    """The files of an `.ovpn`, and what it holds instead of them."""

    def given(self, directive: Directive, *, secret: bool = False) -> Given:
        """The text that a directive gives.  Raises ConfigError."""
        if directive.inline is not None:
            return Given(directive.inline, self.where, f"line {directive.number}, {directive.name}")
        name = self.named(directive)
        return self.text(name, f"line {directive.number}", directive.name, secret=secret)

    def named(self, directive: Directive) -> str:
        """The name of its file.  Raises ConfigError."""
        if not directive.args or not directive.args[0] or directive.args[0] == "[inline]":
            place, name = f"line {directive.number}", directive.name
            remedy = f"a file's name, or <{name}> … </{name}>"
            raise ConfigError(self.where, place, f"{name} is empty", remedy)
        return directive.args[0]
