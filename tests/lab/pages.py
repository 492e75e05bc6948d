"""A web server with pages of any length: run in a namespace, says "ready" when it listens.

`python pages.py CHAIN KEY HOST...`: HTTP/1.1 on port 80 and, over TLS by Python's ssl, on 443.
`/N` has N bytes, whatever name is asked for; what is posted is read and forgotten.
"""

import asyncio
import ssl
import sys
from contextlib import suppress

HTTP, HTTPS = 80, 443
_HEAD = (
    "HTTP/1.1 200 OK\r\n"
    "Content-Type: text/html\r\n"
    "Access-Control-Allow-Origin: *\r\n"
    "Content-Length: {}\r\n\r\n"
)


async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection: a request after the other, until the client goes."""
    with suppress(OSError, asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            fields = dict(line.partition(": ")[::2] for line in head.splitlines())
            await reader.readexactly(int(fields.get("content-length", 0)))
            number = head.split()[1].strip("/")
            size = int(number) if number.isdecimal() else 0
            writer.write(_HEAD.format(size).encode() + b"x" * size)
            await writer.drain()
    writer.close()


async def main() -> None:
    """Serve until this process is ended."""
    chain, key, *hosts = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Without HTTP/2 a browser has a connection for each name, as it has for each site.
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(chain, key)
    for host in hosts:
        await asyncio.start_server(served, host, HTTP)
        await asyncio.start_server(served, host, HTTPS, ssl=context)
    print("ready", flush=True)  # noqa: T201  # whoever started it waits for the line
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main())
