# SPDX-License-Identifier: BSD-3-Clause
# a listener on an IPv6 address: discover, connect, verified I/O
A6=fd77::1
# Busybox's ip lacks nodad. fec0::2 is QEMU's router, which passes connections on to the host.
/bin/ip -6 addr add fec0::15/64 dev eth0 nodad
/bin/ip -6 route replace default via fec0::2 dev eth0
host ip-add $A6
target --listen tcp:[$A6]:$PORT --subsystem $NQN --namespace memory:16MiB
log=$(discover $A6)
eq "record" "$(echo "$log" | jq -r '.records[] | select(.subtype == "nvme subsystem") | .adrfam + " " + .traddr')" "ipv6 $A6"
connect -a $A6 -i 2 > /dev/null
c=$(controllers $NQN)
within 5 "$c is live" live $c
verify $(disk 1) --size=2m
