"""One's own mirror: a server abroad that plays the far half of every handshake, and its client.

It refuses to answer anybody who does not know its token.
"""
