#!/bin/sh
# A network built by hand, as an administrator would: plain `ip`, `nft`, `sysctl` and the servers'
# own configuration files.  It refuses to know circumtest: what is tested here must be right in a
# network that it did not make.
#
#   network.sh up              everything, open; what was there before goes first
#   network.sh down            nothing is left
#   network.sh rules NAME      the provider's censor is rules/NAME.nft, and none but that
#   network.sh fault NAME      one thing is broken (`network.sh mend` mends everything)
#   network.sh start|stop SERVER
#
#   home ----- isp ------ transit ---+--- vpn       203.0.113.10    wireguard-go, dante
#   (LAN)   NAT, censor,             +--- mirror    203.0.113.20    nothing yet
#           the LAN's resolver       +--- services  192.0.2.0/24    coturn, unbound, nginx
#
# It needs a world of its own (`unshare -mnpf --mount-proc`, with -Ur as an ordinary user), which
# scripts/live-test makes: in any other it refuses to begin.
set -eu
cd "$(dirname "$0")"
here=$PWD
state=/run/live

say() { printf 'network.sh: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }
at() { ip netns exec "$@"; }
both() { # NAMESPACE DEVICE IPv4/LENGTH IPv6/LENGTH: up, with both addresses
    ip -n "$1" address add "$3" dev "$2"
    ip -n "$1" address add "$4" dev "$2" nodad
    ip -n "$1" link set "$2" up
}
until_it() { # COMMAND...: until it succeeds, 10 s at most
    left=200
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ $left -gt 0 ] || die "gave up waiting for: $*"
        sleep 0.05
    done
}

# ------------------------------------------------------------------ cables

namespaces="home isp transit vpn mirror services"

cable() { # NAMESPACE DEVICE NAMESPACE DEVICE
    ip link add "$2" netns "$1" type veth peer name "$4" netns "$3"
}

cables() {
    for name in $namespaces; do
        ip netns add "$name"
        ip -n "$name" link set lo up
        at "$name" sysctl -qw net.ipv6.conf.all.accept_ra=0 net.ipv6.conf.default.accept_ra=0
    done
    cable home eth0 isp lan
    cable isp wan transit isp
    cable transit vpn vpn eth0
    cable transit mirror mirror eth0
    cable transit services services eth0

    both home eth0 192.168.1.2/24 2001:db8:1::2/64
    both isp lan 192.168.1.1/24 2001:db8:1::1/64
    both isp wan 198.51.100.2/30 2001:db8:f::2/64
    both transit isp 198.51.100.1/30 2001:db8:f::1/64
    both transit vpn 203.0.113.1/28 2001:db8:a::1/64
    both transit mirror 203.0.113.17/28 2001:db8:b::1/64
    both transit services 192.0.2.1/24 2001:db8:c::1/64
    both vpn eth0 203.0.113.10/28 2001:db8:a::10/64
    both mirror eth0 203.0.113.20/28 2001:db8:b::20/64
    both services eth0 192.0.2.53/24 2001:db8:c::53/64
    for last in 11 12 13 14 15 16 21 22 23 24 80 81 82 83; do
        ip -n services address add 192.0.2.$last/24 dev eth0
        ip -n services address add 2001:db8:c::$last/64 dev eth0 nodad preferred_lft 0
    done
    ip -n vpn address add 203.0.113.11/28 dev eth0
    ip -n vpn address add 2001:db8:a::11/64 dev eth0 nodad preferred_lft 0
}

routes() {
    gateway home 192.168.1.1 2001:db8:1::1
    gateway isp 198.51.100.1 2001:db8:f::1
    gateway vpn 203.0.113.1 2001:db8:a::1
    gateway mirror 203.0.113.17 2001:db8:b::1
    gateway services 192.0.2.1 2001:db8:c::1
    ip -n transit -6 route add 2001:db8:1::/64 via 2001:db8:f::2
    for name in isp transit vpn; do
        at "$name" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
    done
    at isp sysctl -qw net.netfilter.nf_conntrack_acct=1
    at isp nft -f "$here/etc/nat.nft"
    at vpn nft -f "$here/etc/vpn.nft"
}

gateway() { # NAMESPACE IPv4 IPv6
    ip -n "$1" route add default via "$2"
    ip -n "$1" -6 route add default via "$3"
}

# ------------------------------------------------------------------ servers

run() { # NAMESPACE NAME COMMAND...: in the background, its words and its process kept
    where=$1 name=$2
    shift 2
    # The process itself, not a shell before it: it is what `stop` ends.
    (exec ip netns exec "$where" "$@" >"$state/$name.log" 2>&1 </dev/null) &
    echo $! >"$state/$name.pid"
}

stop() {
    [ -e "$state/$1.pid" ] || return 0
    pid=$(cat "$state/$1.pid")
    rm "$state/$1.pid"
    kill "$pid" 2>/dev/null || return 0
    left=60 # some take their time to say goodbye
    while [ -e "/proc/$pid/stat" ] && ! grep -q ') Z' "/proc/$pid/stat" 2>/dev/null; do
        left=$((left - 1))
        [ $left -gt 0 ] || { kill -9 "$pid" 2>/dev/null || :; }
        [ $left -gt -60 ] || die "$1 does not end"
        sleep 0.05
    done
}

listens() { # NAMESPACE udp|tcp PORT
    [ -n "$(at "$1" ss -Hln"$(printf %.1s "$2")" "sport = :$3")" ]
}

start() {
    case $1 in
    wireguard)
        run vpn wireguard wireguard-go -f wg0
        until_it ip -n vpn link show wg0
        until_it at vpn wg show wg0
        at vpn wg setconf wg0 "$state/wg0.conf"
        ip -n vpn address add 10.66.0.1/24 dev wg0
        ip -n vpn address add fd66::1/64 dev wg0 nodad
        ip -n vpn link set wg0 mtu 1420 up
        ;;
    dante | dante-tcp | dante-elsewhere) # the system's own users, who are this network's here
        # shellcheck disable=SC2016  # the inner shell's
        run vpn "$1" unshare --mount sh -c 'mount --bind "$1/passwd" /etc/passwd &&
            mount --bind "$1/shadow" /etc/shadow && exec danted -N 1 -f "$2"' \
            sh "$state" "$here/etc/$1.conf"
        case $1 in dante) port=1080 ;; dante-tcp) port=1081 ;; *) port=1082 ;; esac
        until_it listens vpn tcp $port
        ;;
    messenger) # its TURN servers
        run services messenger turnserver -c "$here/etc/messenger.conf" --userdb "$state/messenger.db"
        until_it listens services udp 1400
        ;;
    stun)
        run services stun turnserver -c "$here/etc/stun.conf" --userdb "$state/stun.db"
        until_it listens services udp 3478
        ;;
    web)
        run services web nginx -p "$state" -c "$here/etc/nginx.conf"
        until_it listens services tcp 443
        ;;
    time) # the clock is one, and stays as it is
        run services time chronyd -d -x -U -u root -f "$here/etc/chrony.conf"
        until_it listens services udp 123
        ;;
    names)
        run services names unbound -d -c "$here/etc/names.conf"
        until_it listens services udp 53
        ;;
    resolver)
        run isp resolver unbound -d -c "$here/etc/resolver.conf"
        until_it listens isp udp 53
        ;;
    liar) # the resolver of a hotel
        run isp liar unbound -d -c "$here/etc/liar.conf"
        until_it listens isp udp 53
        ;;
    portal) # the web server of a hotel
        run isp portal nginx -p "$state" -c "$here/etc/portal.conf"
        until_it listens isp tcp 80
        ;;
    *) die "no server is called $1" ;;
    esac
}

servers="wireguard dante dante-tcp dante-elsewhere messenger stun web time names resolver"

secrets() {
    for who in server client stranger; do
        (umask 077 && wg genkey >"$state/$who.key")
        wg pubkey <"$state/$who.key" >"$state/$who.pub"
    done
    (umask 077 && openssl rand -hex 8 >"$state/password")
    hash=$(openssl passwd -6 -stdin <"$state/password")
    { echo "root:x:0:0:root:/:/bin/false"; echo "caller:x:0:0::/:/bin/false"; } >"$state/passwd"
    { echo "root:*:1::::::"; echo "caller:$hash:1::::::"; } >"$state/shadow"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
        -subj /CN=www.example -addext "subjectAltName=DNS:www.example,DNS:*.example" \
        -keyout "$state/web.key" -out "$state/web.pem" 2>/dev/null
    sed -e "s|@PRIVATE@|$(cat "$state/server.key")|" -e "s|@PUBLIC@|$(cat "$state/client.pub")|" \
        etc/wg0.conf >"$state/wg0.conf"
    client client.key >"$state/client.conf"
    client stranger.key >"$state/stranger.conf"
    # A resolver that is not reached through the tunnel: the home router's.
    client client.key | sed 's/^DNS = .*/DNS = 192.168.1.1/' >"$state/around.conf"
}

client() { # KEY: what the VPN's owner would send to its user
    sed -e "s|@PRIVATE@|$(cat "$state/$1")|" -e "s|@PUBLIC@|$(cat "$state/server.pub")|" \
        etc/client.conf
}

# ------------------------------------------------------------------ what the provider does

rules() {
    [ -e "$here/rules/$1.nft" ] || die "no rules are called $1"
    at isp nft -f "$here/rules/$1.nft"
}

fault() {
    touch "$state/broken"
    case $1 in
    no-data | only-names | silent-server) at isp nft -f "$here/faults/$1.nft" ;;
    server-down) stop wireguard ;;
    endpoint-down) stop messenger ;;
    no-network) ip -n home link set eth0 down ;;
    elsewhere) at vpn nft -f "$here/faults/elsewhere.nft" ;;
    black-hole)
        at transit nft -f "$here/faults/no-icmp.nft"
        ip -n isp link set wan mtu 1320
        ip -n transit link set isp mtu 1320
        ;;
    symmetric-nat) at isp nft -f "$here/faults/symmetric-nat.nft" ;;
    symmetric-vpn) at vpn nft -f "$here/faults/symmetric-vpn.nft" ;;
    portal)
        stop resolver
        start liar
        start portal
        at isp nft -f "$here/faults/portal.nft"
        ;;
    *) die "no fault is called $1" ;;
    esac
}

mend() {
    [ -e "$state/broken" ] || return 0
    stop portal
    stop liar
    for name in $servers; do [ -e "$state/$name.pid" ] || start "$name"; done
    ip -n home link set eth0 up
    # A device that goes down loses its IPv6 addresses and the routes over it.
    ip -n home address replace 2001:db8:1::2/64 dev eth0 nodad
    ip -n home route replace default via 192.168.1.1
    ip -n home -6 route replace default via 2001:db8:1::1
    ip -n isp link set wan mtu 1500
    ip -n transit link set isp mtu 1500
    for name in isp transit vpn; do
        at "$name" nft "table inet fault; delete table inet fault"
    done
    at isp nft -f "$here/etc/nat.nft"
    at vpn nft -f "$here/etc/vpn.nft"
    rm "$state/broken"
}

up() {
    down
    mkdir -p "$state/tmp" "$state/www"
    head -c 1000000 /dev/zero >"$state/www/large"
    mount --bind "$here/etc/resolv.conf" "$(readlink -f /etc/resolv.conf)"
    secrets
    cables
    routes
    for name in $servers; do start "$name"; done
    rules open
}

down() {
    [ -d "$state" ] || return 0
    for file in "$state"/*.pid; do [ ! -e "$file" ] || stop "$(basename "$file" .pid)"; done
    for name in $namespaces; do [ ! -e "/run/netns/$name" ] || ip netns delete "$name"; done
    while umount "$(readlink -f /etc/resolv.conf)" 2>/dev/null; do :; done
    rm -r "$state"
}

# ------------------------------------------------------------------

[ -e /run/live-world ] || die "this would change your machine; scripts/live-test makes a world for it"
case "${1:-}" in
up | down | mend) "$1" ;;
rules | fault | start | stop) "$1" "${2:?which?}" ;;
*)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
