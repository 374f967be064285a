# SPDX-License-Identifier: BSD-3-Clause
# NVMe/RDMA beside the kernel's target on the same soft-RoCE link: 4 KiB random reads of null devices, in turn
# timeout: 500
# by hand
# one processor
KERNEL_NQN=nqn.2024-01.org.nvmft:kernel KERNEL_PORT=4421
N=/sys/kernel/config/nvmet

# kernel_target: one namespace on null_blk without a delay of its own, on $R1
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
}
kernel_target_end() {
	rm -f $N/ports/1/subsystems/*
	rmdir $N/ports/1 $N/subsystems/*/namespaces/1 $N/subsystems/*
}

# rate DISK DEPTH SECONDS: reads per second
rate() {
	fio --name=r --filename=$1 --ioengine=io_uring --direct=1 --rw=randread --bs=4k --iodepth=$2 --runtime=$3 --time_based \
		--norandommap --gtod_reduce=1 --output-format=json --output=fio.json > /dev/null || fail "fio on $1"
	jq '.jobs[0].read.iops | round' fio.json
}
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
# compare DEPTH: A B A B; the median of the ratios of neighbours
compare() {
	local round ours theirs
	: > ratios
	for round in 1 2 3 4 5; do
		ours=$(rate $OURS $1 2)
		theirs=$(rate $THEIRS $1 2)
		echo "depth $1: ours $ours, the kernel's $theirs"
		echo $((ours * 1000 / theirs)) >> ratios
	done
	echo "depth $1: $(median < ratios) thousandths of the kernel's target"
}

rdma_link 1
kernel_target
nvme connect -t rdma -a $R1 -s $KERNEL_PORT -n $KERNEL_NQN -i 1
THEIRS=$(disk 1 $KERNEL_NQN)
for mode in ${BENCH_POLL:-adaptive never}; do
	say "polling: $mode"
	rdma_target --poll $mode --namespace null:1GiB,block=4096
	rdma_connect -i 1
	OURS=$(disk 1)
	for depth in 1 32; do
		compare $depth
	done
	nvme disconnect -n $NQN
	inner_end
done
nvme disconnect -n $KERNEL_NQN
kernel_target_end
