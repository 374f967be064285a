# SPDX-License-Identifier: BSD-3-Clause
# NVMe/RDMA: a link loses all that the target sends; its connections end, others go on, and the host comes back with the link
# timeout: 120
kernel_may_say 'timeout|failed|Connect rejected|I/O error'
modprobe -a rdma_rxe rdma_ucm ib_uverbs nvme-rdma veth

# wire: rd1 and rd2 are the ends of one, each with its RDMA device. Both are of this machine, which would deliver to itself
# what it sends from one to the other, but for the rules; so it does to one device, for which soft-RoCE takes one address.
wire() {
	local n peer
	/sbin/ip link add rd1 type veth peer name rd2
	for n in 1 2; do
		peer=$((3 - n))
		ip link set rd$n up mtu 4200
		ip addr add 10.9.$n.1/32 dev rd$n
		echo 1 > /proc/sys/net/ipv4/conf/rd$n/accept_local
		neighbour rd$n rd$peer "$(cat /sys/class/net/rd$peer/address)"
		/sbin/ip route add 10.9.$peer.1 dev rd$n src 10.9.$n.1 table 10$n
		/sbin/ip rule add pref 1$n oif rd$n lookup 10$n
		rdma link add rxe$n type rxe netdev rd$n
	done
	/sbin/ip rule add pref 100 lookup local
	trap unrule EXIT
	/sbin/ip rule del pref 0
}
# neighbour DEVICE PEER MAC: what is sent by DEVICE has that address on its frames
neighbour() { /sbin/ip neigh replace 10.9.${2#rd}.1 lladdr $3 dev $1; }
unrule() {
	/sbin/ip rule add pref 0 lookup local
	for n in 11 12 100; do /sbin/ip rule del pref $n; done
}
qps() { rdma resource show qp | grep -c 'comm nvmft-target' || :; }
no_qps() { [ "$(qps)" = 0 ]; }

wire
rdma_link 3
inner_programs
inner_start --listen rdma:$R1:$PORT --listen rdma:10.9.3.1:$PORT --subsystem $NQN --namespace memory:16MiB
rdma_connect -w $R2 -i 2 -k 5
rdma_connect -a 10.9.3.1 -i 2 -k 5
D=$(disk 1) C=$(controllers $NQN $R1) OTHER=$(controllers $NQN 10.9.3.1)
verify $D --size=1m
ge "frames on the wire" "$(cat /sys/class/net/rd1/statistics/tx_packets)" 100
LD_LIBRARY_PATH=/tmp/bin /tmp/bin/bad_rdma_host lost $R1 $PORT 1 $R2 > lost.out 2>&1 & LOST=$!
verify_start $D --time_based --runtime=15

say silence
BEFORE=$(qps)
kill -0 $LOST || fail "$(cat lost.out)"
# Frames for another machine get to the other end and no further; soft-RoCE would hear of those that never leave.
neighbour rd1 rd2 02:00:00:00:00:01
# The kernel's host asks for seven attempts, which soft-RoCE takes as for ever: there it is its keep alive timeout.
within 20 "the device has given up" grep -q 'connection terminated: transport retry counter exceeded' inner.log
within 30 "the host has noticed" not_live $C
live $OTHER
does_more_io $D
ge "queue pairs before" "$BEFORE" $(($(qps) + 1))

say the link is back
neighbour rd1 rd2 "$(cat /sys/class/net/rd2/address)"
within 30 "live again" live $C
verify_wait
wait $LOST || fail "$(cat lost.out)"
nvme disconnect -n $NQN
within 10 "no queue pair is left" no_qps
inner_end
