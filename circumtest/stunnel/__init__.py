"""stunnel's client: a program's TCP connection inside TLS, for whatever speaks behind it.

`conf` takes the configuration that people have; `client` runs a service of it in the underlay.
"""
