# SPDX-License-Identifier: BSD-3-Clause
# backends for SSDs: instructions and system calls beside the raw loop; zero copies
# timeout: 300
# iommu
[ -x /host/bin/ssd_bench ] && [ -x /host/bin/count_steps ] || skip "the bench is not built"
inner_programs
export LD_LIBRARY_PATH=/tmp/bin
s=$(ssd 2) pci=$(pci NVMFT-VFIO)
vfio_bind $pci
device() { case $1 in uring*) echo $s ;; *) echo $pci/2 ;; esac; }

not_above() { [ $2 -le $3 ] || fail "$1: $2 % of the raw loop's instructions, limit $3 %"; echo "ok: $1: $2 % of the raw loop's instructions"; }

say "instructions of the backends, driven directly"
for depth in 1 32; do
	n=$((depth == 1 ? 16 : 64))
	for way in uring vfio; do
		count "$way-raw, depth $depth" $n /tmp/bin/ssd_bench $way-raw $(device $way) $depth count $((n / depth))
		raw=$PER_IO
		count "$way, depth $depth" $n /tmp/bin/ssd_bench $way $(device $way) $depth count $((n / depth))
		eval "${way}_$depth=$((PER_IO * 100 / raw))"
	done
done
# Of the raw loop's instructions, in percent, for batches of 32: measured, and some for other compilers.
case $(head -n 1 counted | jq .assertions) in
true) URING_LIMIT=120 VFIO_LIMIT=140 ;;
*) URING_LIMIT=115 VFIO_LIMIT=130 ;;
esac
not_above "io_uring, depth 32" $uring_32 $URING_LIMIT
not_above "VFIO, depth 32" $vfio_32 $VFIO_LIMIT
echo "depth 1: io_uring $uring_1 %, VFIO $vfio_1 %"

# no_copies KIND: verified I/O over TCP, after which the engine must not have copied a byte between buffers
no_copies() {
	local d port
	rm -f tcp.out # the port of the target before
	LD_LIBRARY_PATH=/tmp/bin /tmp/bin/tcp_target $1 > tcp.out 2> tcp.err &
	INNER=$!
	within 30 "a target for $1" grep -qE '^[0-9]+$' tcp.out
	port=$(head -n 1 tcp.out)
	nvme connect -t tcp -a 127.0.0.1 -s $port -n nqn.2014-08.org.nvmexpress:bench -i 1 > /dev/null
	d=$(disk 1 nqn.2014-08.org.nvmexpress:bench)
	verify $d --size=2m
	verify $d --size=4m --bs=64k --verify_backlog=16
	nvme disconnect -n nqn.2014-08.org.nvmexpress:bench > /dev/null
	kill $INNER
	wait $INNER || fail "the target for $1 ended with status $?: $(cat tcp.err)"
	tail -n 1 tcp.out
	ge "commands to $1" $(tail -n 1 tcp.out | jq .commands) 500
	eq "bytes copied for $1" $(tail -n 1 tcp.out | jq .copied_bytes) 0
}
say "zero copies"
no_copies nvme:$s
no_copies vfio:$pci/2
no_dma_fault
