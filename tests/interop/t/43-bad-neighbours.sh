# SPDX-License-Identifier: BSD-3-Clause
# silent peers and peers that send garbage do not disturb anybody else
target_with memory:32MiB
connect -i 2 > /dev/null
c=$(controllers $NQN) d=$(disk 1)
verify_start $d --time_based --runtime=20

# Nothing; garbage; an ICReq cut short; one with a wrong length; a Read before Connect.
for bytes in "" ffffffffffffffffffffffffffffffff 0000800080000000 00008000ffffffff 0401480048000000020000000000000000000000; do
	host peers 200 $bytes
	sleep 1
	t0=$(date +%s)
	connect -a $A2 -i 1 > /dev/null
	ge "3 - seconds to connect" $((3 - $(date +%s) + t0)) 0
	nvme disconnect -d $(controllers $NQN $A2) > /dev/null
	host peers-end
done
verify_wait
within 1 "$c is live" live $c
hasnt "kernel log" "$(dmesg)" "econnect"
only_ours() { [ "$(host connections)" = 3 ]; }
within 5 "connections are given back" only_ours
