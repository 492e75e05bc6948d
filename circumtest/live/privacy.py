"""What of a trial may be kept: no address of the person, no server of his, no secret.

Exits become tags that are the same all through one run and mean nothing outside of it; the words of
daemons and of the network lose whatever tells.  It refuses to let a secret through that it was told
of, wherever it stands, and to write anything itself: `Writer.append` gets what it gives back.
"""

import hmac
from dataclasses import dataclass, field
from functools import cached_property
from re import Match, Pattern

from msgspec.structs import replace

from circumtest import telltale
from circumtest.appearance import Sighting
from circumtest.errors import ConfigError
from circumtest.finding import Outline
from circumtest.model import Address, Failure, Invalid, Outcome, Record, Trial, Unsupported
from circumtest.telltale import Tale

LIMIT = 1000
"""Characters of one text that are kept: the last ones."""
_TAG = 4
"""Bytes of a tag: enough to tell the addresses of a run apart, and no way back without the salt."""
_MOST = 4096
"""Characters of one text that are looked at: the last ones."""


@dataclass
class Keeper:
    """`salt` is the run's; `secrets` must never be written; `servers` are the person's own hosts.

    `public` are addresses and names of public services, which may stand in texts.  With `keep_exit`
    exits stay as they are: the person asked for it.  `hits` counts secrets that were on their way
    to the disk.
    """

    salt: bytes = field(repr=False)
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    servers: frozenset[str] = field(default=frozenset(), repr=False)
    public: frozenset[str] = frozenset()
    keep_exit: bool = False
    hits: int = 0

    # -------------------------------------------------------------- values

    def trial(self, trial: Trial) -> Trial:
        """The same trial without what tells who played it, and through whose server."""
        return replace(trial, record=self.record(trial.record))

    def record(self, record: Record) -> Record:
        """The record with its exit as a tag and its words scrubbed."""
        seen = record.exit
        if seen is not None and not self.keep_exit:
            seen = self.exit(seen)
        return replace(record, outcome=self._outcome(record.outcome), exit=seen)

    def exit(self, seen: Address) -> Address:
        """A tag for the address that the far end saw, without its port: a port tells of a NAT.

        The same address has the same tag all through the run.
        """
        return Address(self.tag("exit", seen.host), 0)

    def tag(self, what: str, host: str) -> str:
        """`what-` and eight hexadecimal digits, from the run's salt and a host."""
        digest = hmac.digest(self.salt, f"{what}\0{host.lower()}".encode(), "sha256")
        return f"{what}-{digest[:_TAG].hex()}"

    def outline(self, outline: Outline) -> Outline:
        """The outline with a scrubbed summary.

        Raises ConfigError where a name that the person gave holds a secret: names stand in every
        line, so that they cannot be replaced.
        """
        given = (outline.tunnels, outline.handshakes)
        names = [outline.name, *outline.targets, *(one.name for those in given for one in those)]
        if self._secret and any(map(self._secret.search, names)):
            problem = "a tunnel, handshake or target is named with one of the secrets"
            raise ConfigError("plan", "", problem, "give it another `name`: names are published")
        return replace(outline, summary=self.text(outline.summary))

    def sighting(self, sighting: Sighting) -> Sighting:
        """What was seen of a tunnel, without the name in its hello unless that is public."""
        seen = sighting.appearance
        if seen is None or not seen.name or seen.name in self.public:
            return sighting
        hidden = replace(seen, name=self.tag("server", seen.name))
        return replace(sighting, appearance=hidden)

    def _outcome(self, outcome: Outcome) -> Outcome:
        match outcome:
            case Failure():
                return replace(outcome, detail=self.text(outcome.detail))
            case Invalid():
                told = self.text(outcome.detail), self.text(outcome.evidence)
                return replace(outcome, detail=told[0], evidence=told[1])
            case Unsupported():
                return replace(outcome, reason=self.text(outcome.reason))
        return outcome

    # -------------------------------------------------------------- words

    def text(self, words: str) -> str:
        """`words` without anything that tells, at most LIMIT characters of it.

        Shapes before secrets, so that one which is a part of an address or key does not leave the
        rest; but first the secrets of which an address or key is only a part, for the same reason.
        """
        words = telltale.replaced(self._whole(words[-_MOST:]), self._instead)
        if self._server:
            words = self._server.sub(self._as_server, words)
        if self._secret:
            words = self._secret.sub(self._as_secret, words)
        return words.strip()[-LIMIT:]

    def _whole(self, words: str) -> str:
        """`words` without the secrets that reach out of what has a shape, and without that."""
        secrets = list(self._secret.finditer(words)) if self._secret else []
        if not secrets:
            return words
        shaped = [(tale.start, tale.end) for tale in telltale.tales(words)]
        parts, at = [], 0
        for found in secrets:
            start, end = found.span()
            met = [one for one in shaped if one[0] < end and start < one[1]]
            if any(first <= start and end <= last for first, last in met):
                continue
            self.hits += 1
            start = min((start, *(first for first, _ in met)))
            end = max((end, *(last for _, last in met)))
            parts += [words[at : max(at, start)], "…"]
            at = max(at, end)
        return "".join((*parts, words[at:]))

    def _instead(self, tale: Tale) -> str:
        if tale.words in self.public:
            return tale.words
        if tale.words.lower() in self._known_servers:
            return self.tag("server", tale.words)
        if self._secret and self._secret.search(tale.words):
            self.hits += 1
        return f"<{tale.kind}>"

    def _as_server(self, found: Match[str]) -> str:
        return found[0] if found[0] in self.public else self.tag("server", found[0])

    def _as_secret(self, _found: Match[str]) -> str:
        self.hits += 1
        return "…"

    @cached_property
    def _secret(self) -> Pattern[str] | None:
        return telltale.any_of(self.secrets - self.public)

    @cached_property
    def _server(self) -> Pattern[str] | None:
        return telltale.any_of(self.servers)

    @cached_property
    def _known_servers(self) -> frozenset[str]:
        return frozenset(one.lower() for one in self.servers)
