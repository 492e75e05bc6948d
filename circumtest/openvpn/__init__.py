"""What OpenVPN's client needs: `.ovpn` files as values, what servers push, the management socket.

`words` takes a file apart, `directives` knows what each directive does, `keys` gathers
certificates and logins, `profile` puts them together; `routing` turns what was pushed into what a
device gets; `management` talks to the running daemon.
"""
