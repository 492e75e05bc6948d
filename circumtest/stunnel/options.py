"""What each key of stunnel means for a test: honoured, left out, or refused.

By stunnel 5's manual, in lower case, since stunnel takes them in any.  `PASSED` goes to stunnel as
it is; none of them names a file, runs anything or leads packets elsewhere.
"""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


PASSED = _names("""
    ciphers ciphersuites curves options pskidentity renegotiation securitylevel sessionresume sni
    sslversion sslversionmax sslversionmin
""")
NAMES = ("checkhost", "checkip", "checkemail")
"""What the server's certificate must name."""
OWN = _names("""
    accept cafile capath cert client connect crlfile key psksecrets verify verifychain verifypeer
""") | set(NAMES)
"""Those that `conf` reads itself."""

_NOT_RUN = "a test must not execute what a configuration file says"
NOTED = {
    "exec": f"is not run: {_NOT_RUN}",
    "execargs": "is not honoured: nothing is run",
    "pty": "is not honoured: nothing is run",
    "engine": f"is not loaded: {_NOT_RUN}",
    "enginectrl": "is not honoured: no engine is loaded",
    "enginedefault": "is not honoured: no engine is loaded",
    "config": "is not honoured: TLS is configured by the keys of its own",
    "compression": "is not honoured: TLS has none any more",
    "crlpath": "is not honoured: name the list as CRLfile",
    "ocsp": "is not honoured: nobody else is asked about the server",
    "ocspaia": "is not honoured: nobody else is asked about the server",
}
"""Left out, and a person may want to know."""

QUIET = _names("""
    chroot debug delay egd failover fips foreground iconactive iconerror iconidle ident libwrap
    log logid ocspflag ocspnonce ocsprequire output pid requirecert reset retry rndbytes rndfile
    rndoverwrite service sessioncachesize sessioncachetimeout setgid setuid socket stack syslog
    taskbar ticketkeysecret ticketmacsecret timeoutbusy timeoutclose timeoutconnect timeoutidle
    timeoutocsp
""")
"""About the machine or the program itself: nothing that a test could show."""

_CHAIN = "reach the server through it by a chain of tunnels, and leave the key out"
REFUSED = {
    **dict.fromkeys(
        _names("""
    protocol protocolauthentication protocoldomain protocolheader protocolhost protocolpassword
    protocolusername
"""),
        ("speaks something else before TLS", _CHAIN),
    ),
    "include": ("reads other files", "put the service into this one"),
    "local": ("changes where packets leave from", "leave it out"),
    "redirect": ("is a server's", "give the client's configuration"),
    "transparent": ("changes where packets leave from", "leave it out"),
    "sessiond": ("sends sessions to another server", "leave it out"),
    "caengine": ("needs certificates outside of files", "name them as CAfile"),
    "engineid": ("needs a key outside of files", "name it as key"),
    "enginenum": ("needs a key outside of files", "name it as key"),
}
"""What would change where packets go, or cannot be played at all: why, and what would be right."""
