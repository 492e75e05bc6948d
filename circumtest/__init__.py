"""circumtest: does this tunnel let calls through, here, when calls without it fail?

The package plays call-setup handshakes outside and inside a tunnel and compares the success rates.
It refuses to say more than the evidence carries: see `docs/architecture.md`, "What may be said".
"""

__version__ = "0.1.0"
