# SPDX-License-Identifier: BSD-3-Clause
# NVMe/RDMA: faulty hosts, few receives, receives per queue, all addresses, IPv6, several threads, devices that nobody uses
# timeout: 240
kernel_may_say 'timeout|failed|Connect rejected|I/O error'
rdma_link 1
ip addr add fd00:9:1::1/64 dev rd1

# port ID FAMILY ADDRESS SERVICE OPTIONS
port() {
	echo "{portid: $1, addr: {trtype: \"rdma\", adrfam: \"$2\", traddr: \"$3\", trsvcid: \"$4\"}, subsystems: [\"$NQN\"], rdma: $5}"
}
rdma_conf() { # rdma_conf PORTS
	jq -n --arg n $NQN "{hosts: [], ports: [$1], subsystems: [{nqn: \$n, allowed_hosts: [], attr: {allow_any_host: \"1\"},
		namespaces: [{nsid: 1, enable: 1, device: {path: \"$PWD/disk.img\"}}]}]}" > inner.json
}
bad_host() { LD_LIBRARY_PATH=/tmp/bin /tmp/bin/bad_rdma_host "$@" 2>&1; }
via() { # via ADDRESS SERVICE: verified I/O
	nvme connect -t rdma -n $NQN -a $1 -s $2 -i 3 -k 10 --ctrl-loss-tmo=60 --reconnect-delay=1
	verify $(disk 1) --size=2m --bs=8k --iodepth=32
	nvme disconnect -n $NQN
	within 10 "the disk is gone" no_disk 1
}

rdma_conf "$(port 1 ipv4 $R1 $PORT '{receives: 32}'), $(port 2 ipv4 $R1 4421 '{per_queue_receives: true, backlog: 1}'),
	$(port 3 ipv4 0.0.0.0 4422 '{}'), $(port 4 ipv6 fd00:9:1::1 4423 '{}'), $(port 5 ipv6 :: 4424 '{}')"
truncate -s 32M disk.img
inner_programs
inner_start --config inner.json --threads 2

say hosts that take no response, or no answer to their request, are given up by and by
bad_host deaf $R1 $PORT 1 > deaf.out & DEAF=$!
bad_host mute $R1 $PORT 1 > mute.out & MUTE=$!

say 50 hosts die in the middle of a capsule, another one does not
rdma_connect -i 3
D=$(disk 1)
bad_host half $R1 $PORT 50
bad_host half $R1 4421 2
verify $D --size=2m --bs=8k --iodepth=8

# Data in capsules only: soft-RoCE cannot try again what registers memory.
say more commands than receives
few() { verify $D --rw=write --size=2m --bs=8k "$@"; }
again() { cat /sys/class/infiniband/rxe1/ports/1/hw_counters/rcvd_rnr_err; }
BEFORE=$(again)
tried_again() { [ "$(again)" -gt $BEFORE ]; }
# A target that is awake may keep up.
kill -STOP $INNER
few --iodepth=128 --do_verify=0 > few.out 2>&1 & FEW=$!
within 20 "a host had to try again" tried_again
kill -CONT $INNER
wait $FEW || fail "$(cat few.out)"
few --iodepth=8 --verify_only
nvme disconnect -n $NQN

say data that nobody can read
bad_host key $R1 $PORT 2
bad_host key $R1 4421 2
has log "$(cat inner.log)" 'connection terminated: remote access error'

say per queue, all addresses, IPv6
via $R1 4421
via $R1 4422
via fd00:9:1::1 4423
via fd00:9:1::1 4424
via $R1 4424

wait $DEAF || fail "deaf: $(cat deaf.out)"
wait $MUTE || fail "mute: $(cat mute.out)"
inner_end

say a device is removed that a listener on all addresses knows, and that nobody uses
rdma_conf "$(port 1 ipv4 0.0.0.0 $PORT '{}')"
inner_start --config inner.json --threads 2
via $R1 $PORT
rdma link del rxe1
has log "$(cat inner.log)" 'the RDMA device rxe1 is gone'
rdma_link 1
via $R1 $PORT

say and one that is used, by two threads
rdma_connect -i 4 -k 5
D=$(disk 1)
timeout 30 rdma link del rxe1
rdma_link 1
via $R1 $PORT
inner_end
