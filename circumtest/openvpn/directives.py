"""What each directive of OpenVPN means for a test: honoured, left out, or refused.

By OpenVPN 2.6's manual.  `PASSED` goes to the daemon as it is; none of them names a file, runs
anything or leads packets elsewhere.  It refuses to read values: `profile` does.
"""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


PASSED = _names("""
    allow-compression auth auth-nocache block-ipv6 cipher client-nat comp-lzo comp-noadapt
    compat-mode compress data-ciphers data-ciphers-fallback disable-occ explicit-exit-notify
    fast-io float fragment hand-window inactive keepalive link-mtu mssfix mtu-disc ncp-ciphers
    ncp-disable no-replay ns-cert-type passtos peer-fingerprint ping ping-exit ping-restart
    ping-timer-rem push-peer-info rcvbuf remote-cert-eku remote-cert-ku remote-cert-tls
    reneg-bytes reneg-pkts reneg-sec replay-window setenv setenv-safe session-timeout shaper
    sndbuf socket-flags tcp-nodelay tcp-queue-limit tls-cert-profile tls-cipher tls-ciphersuites
    tls-exit tls-groups tls-timeout tls-version-max tls-version-min tran-window tun-mtu
    tun-mtu-extra txqueuelen use-prediction-resistance verify-hash verify-x509-name
    x509-username-field
""")

ROUTING = _names("""
    block-ipv6 dhcp-option dns ifconfig ifconfig-ipv6 redirect-gateway redirect-private route
    route-ipv6 topology tun-mtu
""")
"""Those that `routing` reads, in a file as in what a server pushes."""

OWN = _names("""
    askpass auth-user-pass ca cert client connection crl-verify dev dev-type extra-certs
    ignore-unknown-option key key-direction pkcs12 port proto pull pull-filter remote route-nopull
    rport tls-auth tls-client tls-crypt tls-crypt-v2
""")
"""Those that `profile` reads itself."""

_NOT_RUN = "a test must not execute what a configuration file says"
_SCRIPTS = _names("""
    auth-user-pass-verify client-connect client-crresponse client-disconnect down ipchange
    learn-address route-pre-down route-up tls-crypt-v2-verify tls-verify up
""")

NOTED = {
    **dict.fromkeys(_SCRIPTS, f"is not run: {_NOT_RUN}"),
    "plugin": f"is not loaded: {_NOT_RUN}",
    "engine": f"is not loaded: {_NOT_RUN}",
    "providers": f"is not loaded: {_NOT_RUN}",
    "mark": "is not honoured: nothing in the underlay routes by it",
    "lport": "is not honoured: the system chooses the port that packets leave from",
    "bind": "is not honoured: the system chooses the port that packets leave from",
    "block-outside-dns": "is not needed: there is no resolver outside to be seen inside",
    "capath": "is not honoured: put the authorities' certificates in <ca>",
    "route-metric": "is not honoured: inside there is one way out",
    "http-proxy-retry": "is not honoured: there is no proxy",
    "socks-proxy-retry": "is not honoured: there is no proxy",
}
"""Left out, and a person may want to know."""

QUIET = _names("""
    allow-pull-fqdn allow-recursive-routing allow-nonadmin auth-retry bcast-buffers cd chroot
    client-cert-not-required connect-retry connect-retry-max connect-timeout daemon dev-node dh
    dhcp-internal disable-dco dhcp-pre-release dhcp-release dhcp-renew down-pre echo
    errors-to-stderr gremlin group ifconfig-noexec ifconfig-nowarn ip-win32 keysize
    keying-material-exporter lladdr log log-append machine-readable-output management
    management-client management-client-auth management-client-group management-client-user
    management-forget-disconnect management-hold management-log-cache management-query-passwords
    management-query-proxy management-query-remote management-signal management-up-down max-routes
    memstats mlock mtu-test mute mute-replay-warnings nice no-name-remapping nobind opt-verify
    pause-exit persist-key persist-local-ip persist-remote-ip persist-tun preresolve prng
    proto-force register-dns remap-usr1 remote-random remote-random-hostname resolv-retry
    replay-persist route-delay route-ipv6-gateway route-method route-noexec script-security
    server-poll-timeout service setcon show-net-up single-session status status-version
    suppress-timestamps syslog tap-sleep tmp-dir topology-subnet tun-ipv6 up-delay up-restart user
    verb win-sys windows-driver writepid x509-track
""")
"""About the machine or the daemon itself: nothing that a test could show."""

_CHAIN = "reach the server through it by a chain of tunnels, and leave the directive out"
_SERVERS = _names("""
    auth-gen-token auth-user-pass-optional ccd-exclusive client-config-dir client-to-client
    connect-freq connect-freq-initial duplicate-cn hash-size ifconfig-ipv6-pool ifconfig-ipv6-push
    ifconfig-pool ifconfig-pool-persist ifconfig-push iroute iroute-ipv6 max-clients
    max-routes-per-client mode multihome port-share push push-remove push-reset server
    server-bridge server-ipv6 stale-routes-check tls-server username-as-common-name
    verify-client-cert vlan-accept vlan-pvid vlan-tagging
""")
_TOKENS = _names("""
    cryptoapicert management-external-cert management-external-key pkcs11-cert-private pkcs11-id
    pkcs11-id-management pkcs11-pin-cache pkcs11-private-mode pkcs11-protected-authentication
    pkcs11-providers
""")

REFUSED = {
    **dict.fromkeys(_SERVERS, ("is a server's", "give the client's configuration")),
    **dict.fromkeys(_TOKENS, ("needs a key outside of files", "put <cert> and <key> in the file")),
    "http-proxy": ("leads packets through a proxy", _CHAIN),
    "http-proxy-option": ("leads packets through a proxy", _CHAIN),
    "http-proxy-user-pass": ("leads packets through a proxy", _CHAIN),
    "socks-proxy": ("leads packets through a proxy", _CHAIN),
    "route-gateway": ("changes where packets go", "leave it to the server, which pushes it"),
    "local": ("changes where packets leave from", "nobind"),
    "bind-dev": ("changes where packets leave from", "nobind"),
    "secret": ("static keys are not supported", "a configuration with certificates"),
    "scramble": (
        "changes the bytes on the wire, by a patch that OpenVPN itself does not have",
        "a configuration for the OpenVPN that everybody has",
    ),
    "config": ("reads another file", "put both into one"),
    "static-challenge": ("asks a person at every login", "a login without a second factor"),
}
"""What would change where packets go, or cannot be played at all: why, and what would be right."""
