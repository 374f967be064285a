# SPDX-License-Identifier: BSD-3-Clause
# Beside the kernel's NVMe/RDMA target on one soft-RoCE link: sourced by the tests that compare with it.

KERNEL_NQN=nqn.2024-01.org.nvmft:kernel KERNEL_PORT=4421
N=/sys/kernel/config/nvmet

# kernel_target: one namespace on null_blk without a delay of its own, on $R1; its disk in $THEIRS
kernel_target() {
	modprobe null_blk nr_devices=1 gb=1 bs=4096 queue_mode=2 irqmode=0
	modprobe -a nvmet nvmet-rdma
	mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
	mkdir -p $N/subsystems/$KERNEL_NQN/namespaces/1 $N/ports/1
	echo 1 > $N/subsystems/$KERNEL_NQN/attr_allow_any_host
	echo /dev/nullb0 > $N/subsystems/$KERNEL_NQN/namespaces/1/device_path
	echo 1 > $N/subsystems/$KERNEL_NQN/namespaces/1/enable
	echo rdma > $N/ports/1/addr_trtype
	echo ipv4 > $N/ports/1/addr_adrfam
	echo $R1 > $N/ports/1/addr_traddr
	echo $KERNEL_PORT > $N/ports/1/addr_trsvcid
	ln -s $N/subsystems/$KERNEL_NQN $N/ports/1/subsystems/
	nvme connect -t rdma -a $R1 -s $KERNEL_PORT -n $KERNEL_NQN -i 1 -k 120 > /dev/null
	THEIRS=$(disk 1 $KERNEL_NQN)
}
kernel_target_end() {
	nvme disconnect -n $KERNEL_NQN > /dev/null
	rm -f $N/ports/1/subsystems/*
	rmdir $N/ports/1 $N/subsystems/*/namespaces/1 $N/subsystems/*
}
# our_target ARGUMENTS...: the same with ours; its disk in $OURS
our_target() {
	rdma_target "$@" --namespace null:1GiB,block=4096
	rdma_connect -i 1 -k 120 > /dev/null
	OURS=$(disk 1)
}
our_target_end() {
	nvme disconnect -n $NQN > /dev/null
	inner_end
}

# Nanoseconds of processor time: of our target's threads, and of the workers that run the kernel's target, as well as the
# host's block layer in both cases.
our_cpu() { cat /proc/$INNER/task/*/schedstat | sum; }
worker_cpu() ( set +x; cat $(grep -lE '^kworker/[0-9]+:[0-9]+H' /proc/[0-9]*/comm | sed 's/comm$/schedstat/') | sum )
sum() { awk '{ n += $1 } END { printf "%.0f\n", n }'; }

# measure DISK DEPTH SECONDS: leaves reads per second in $RATE, nanoseconds per read of the target in $OWN and of the
# workers in $WORKERS
measure() {
	local own workers n
	own=$(our_cpu) workers=$(worker_cpu)
	fio --name=r --filename=$1 --ioengine=io_uring --direct=1 --rw=randread --bs=4k --iodepth=$2 --runtime=$3 --time_based \
		--norandommap --gtod_reduce=1 --output-format=json --output=fio.json > /dev/null || fail "fio on $1"
	RATE=$(jq '.jobs[0].read.iops | round' fio.json) n=$(jq .jobs[0].read.total_ios fio.json)
	OWN=$((($(our_cpu) - own) / n)) WORKERS=$((($(worker_cpu) - workers) / n))
}
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# compare DEPTH ROUNDS SECONDS: in turn, the other target not disturbing; leaves the median of the ratios of neighbours,
# in thousandths, in $RATIO, and medians of the rest in $R_OURS, $R_THEIRS, $T_OURS, $T_THEIRS
compare() {
	local round=0 f
	for f in ratio ours theirs own workers other; do : > $f; done
	while [ $round -lt $2 ]; do
		round=$((round + 1))
		kill -CONT $INNER
		measure $OURS $1 $3
		echo $RATE >> ours; echo $OWN >> own; echo $WORKERS >> other
		kill -STOP $INNER
		measure $THEIRS $1 $3
		echo $RATE >> theirs; echo $WORKERS >> workers
		echo $(($(tail -n 1 ours) * 1000 / RATE)) >> ratio
	done
	kill -CONT $INNER
	RATIO=$(median ratio) R_OURS=$(median ours) R_THEIRS=$(median theirs) T_OURS=$(median own)
	T_THEIRS=$(($(median workers) - $(median other)))
	echo "depth $1: $RATIO thousandths of the kernel's target ($R_OURS and $R_THEIRS reads per second; rounds:" $(cat ratio)")"
	echo "depth $1: $T_OURS ns of processor time per read, the kernel's target $T_THEIRS ns"
}
# ceiling DEPTH: what a target could reach that takes no time at all and leaves all else to the others as ours does
ceiling() {
	echo "depth $1: $((1000000000 / (1000000000 / R_OURS - T_OURS) * 1000 / R_THEIRS)) thousandths if ours took no time itself"
}
