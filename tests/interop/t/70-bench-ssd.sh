# SPDX-License-Identifier: BSD-3-Clause
# backends for SSDs: instructions, system calls and commands per second beside the raw loop and fio; zero copies
# timeout: 500
# by hand
# iommu
[ -x /host/bin/ssd_bench ] && [ -x /host/bin/count_steps ] || skip "the bench is not built"
inner_programs
export LD_LIBRARY_PATH=/tmp/bin
# Of the raw loop's instructions, in percent, for batches of 32: measured, and some for other compilers.
URING_LIMIT=180 VFIO_LIMIT=215
s=$(ssd 2) pci=$(pci NVMFT-VFIO)
vfio_bind $pci
device() { case $1 in uring*) echo $s ;; *) echo $pci/2 ;; esac; }

# per_io FILE IOS: from the last line of what count_steps printed; leaves hundredths of instructions in $PER_IO
per_io() {
	PER_IO=$(tail -n 1 $1 | jq ".instructions * 100 / $2 | round")
	tail -n 1 $1 | jq -r --argjson n "$2" '"\(.instructions / $n | round) instructions, \(.syscalls / $n * 100 | round / 100) system calls per I/O"'
}
# count NAME IOS PROGRAM ARGUMENT...: between its marks
count() {
	local name=$1 n=$2
	shift 2
	/tmp/bin/count_steps run "$@" > counted 2> complaint || fail "$name: $(cat counted complaint)"
	per_io counted $n > text
	echo "$name: $(cat text)"
}
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
not_above "io_uring, depth 32" $uring_32 $URING_LIMIT
not_above "VFIO, depth 32" $vfio_32 $VFIO_LIMIT
echo "depth 1: io_uring $uring_1 %, VFIO $vfio_1 %"

# The loopback transport's buffers are its host's own: VFIO needs regions, so that it is copied for here.
say "instructions of the whole engine, loopback"
for kind in null nvme:$s vfio:$pci/2; do
	count "engine, ${kind%%:*}, depth 32" 32 /tmp/bin/loopback_bench count $kind 32 1
done

# Rounds of fio's job process, from one submission to a later one. The entries submitted are its I/Os.
say "fio's engine"
fio_args="--name=f --filename=$s --ioengine=io_uring_cmd --cmd_type=nvme --rw=randread --bs=4k --fixedbufs --registerfiles
	--gtod_reduce=1 --norandommap --random_generator=lfsr --time_based"
for depth in 1 32; do
	fio $fio_args --iodepth=$depth --iodepth_batch_submit=$depth --iodepth_batch_complete_min=$depth --runtime=60 > fio.out 2>&1 &
	fio=$!
	within 10 "a job of fio" pgrep -P $fio
	sleep 2
	job=$(pgrep -P $fio | head -n 1)
	/tmp/bin/count_steps attach $job $((depth == 1 ? 16 : 3)) > counted || fail "fio: $(cat counted fio.out)"
	kill -9 $fio $job
	wait $fio || :
	n=$(jq .submitted counted)
	ge "I/Os of fio that were counted" $n 16
	per_io counted $n > text
	echo "fio, depth $depth: $(cat text)"
done

# rate WAY: commands per second
rate() { /tmp/bin/ssd_bench $1 $(device $1) 32 time 400 > timed 2>&1 || fail "$1: $(cat timed)"; jq .iops timed; }
engine_rate() { /tmp/bin/loopback_bench ios $1 32 1500 > timed 2>&1 || fail "$1: $(cat timed)"; jq '1000000000 / .ns_per_command | round' timed; }
fio_rate() {
	fio $fio_args --iodepth=32 --runtime=1 --output-format=json --output=fio.json && jq '.jobs[0].read.iops | round' fio.json
}
say "commands per second, depth 32, alternating: raw loop, backend, engine by loopback, fio"
for round in 1 2 3; do
	echo "io_uring: $(rate uring-raw) $(rate uring) $(engine_rate nvme:$s) $(fio_rate)"
	echo "VFIO: $(rate vfio-raw) $(rate vfio) $(engine_rate vfio:$pci/2)"
done

# no_copies KIND: verified I/O over TCP, after which the engine must not have copied a byte between buffers
no_copies() {
	local d port
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
