# SPDX-License-Identifier: BSD-3-Clause
# backends for SSDs beside fio, and with the engine: instructions, system calls and commands per second
# timeout: 500
# by hand
# iommu
[ -x /host/bin/ssd_bench ] && [ -x /host/bin/count_steps ] || skip "the bench is not built"
inner_programs
export LD_LIBRARY_PATH=/tmp/bin
s=$(ssd 2) pci=$(pci NVMFT-VFIO)
vfio_bind $pci
device() { case $1 in uring*) echo $s ;; *) echo $pci/2 ;; esac; }

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
no_dma_fault
