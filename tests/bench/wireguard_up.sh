#!/bin/sh
# What a person would type to bring WireGuard up as circumtest does: the device is born here, lives in
# a namespace of its own, and is ready when a handshake has happened.
# Arguments: device, private key file, server's key, preshared key file, endpoint, address, MTU.
set -eu
dev=$1 key=$2 server=$3 shared=$4 endpoint=$5 address=$6 mtu=$7

ip netns add "$dev"
WG_PROCESS_FOREGROUND=1 wireguard-go -f "$dev" &
until [ -S "/var/run/wireguard/$dev.sock" ]; do sleep 0.01; done
wg set "$dev" private-key "$key" peer "$server" preshared-key "$shared" \
    allowed-ips 0.0.0.0/0,::/0 endpoint "$endpoint" persistent-keepalive 25
ip link set "$dev" netns "$dev"
ip -n "$dev" link set "$dev" mtu "$mtu"
ip -n "$dev" address add "$address" dev "$dev"
ip -n "$dev" link set "$dev" up
ip -n "$dev" route add default dev "$dev"
until wg show "$dev" latest-handshakes | grep -qv '	0$'; do sleep 0.01; done
echo up
wait
