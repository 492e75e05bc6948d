"""The keeper of a run: who knows every secret that the run was given, and its salt.

It refuses to keep them anywhere but in memory.
"""

from collections.abc import Iterable
from pathlib import Path

from circumtest import configs, store
from circumtest.finding import Outline
from circumtest.live.privacy import Keeper
from circumtest.plan import Plan
from circumtest.telltale import hosts_in, secrets_in


def keeper(
    plan: Plan,
    folder: Path,
    *,
    public: Iterable[str] = (),
    servers: Iterable[str] = (),
    secrets: Iterable[str] = (),
    keep_exit: bool = False,
) -> Keeper:
    """The keeper of the run in `folder`, which `store.create` has begun.

    It knows the secrets of `plan`'s tunnels and of the files that they name, `secrets` besides (a
    mirror's token) and `servers` (its host).  `public` stays readable, as do shipped targets.
    Raises ConfigError where the run's salt is gone.
    """
    found, hosts = known(plan.confidential())
    return Keeper(
        salt=store.salt(folder),
        secrets=frozenset(secrets) | found - hosts,
        servers=frozenset(servers) | hosts,
        public=frozenset(public) | shipped(),
        keep_exit=keep_exit,
    )


def published(plan: Plan, secrets: Iterable[str] = ()) -> Outline:
    """The outline as it may be written, for `store.create`.

    Raises ConfigError where a name that the person gave holds a secret.
    """
    found, hosts = known(plan.confidential())
    return Keeper(b"", frozenset(secrets) | found | hosts).outline(plan.outline)


def known(texts: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
    """The secrets, and the hosts among them, of configurations, links, files of credentials."""
    texts = tuple(texts)
    secrets = frozenset(one for text in texts for one in secrets_in(text))
    return secrets, frozenset(one for text in texts for one in hosts_in(text))


def shipped() -> frozenset[str]:
    """Every address and name in the shipped target files: public services, known to everybody."""
    files = (configs.ROOT / "targets").glob("*.toml")
    return frozenset(one for file in files for one in hosts_in(file.read_text(encoding="utf-8")))
