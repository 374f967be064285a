# SPDX-License-Identifier: BSD-3-Clause
# NVMe/RDMA beside the kernel's target on one soft-RoCE link and one processor, by instructions: 4 KiB random reads of null devices
# timeout: 600
# by hand
# one processor
# instruction clock
. /host/lib/rdma-bench.sh
rdma_link 1
kernel_target
for mode in never adaptive always; do
	say "polling: $mode"
	our_target --poll $mode
	for depth in 1 32; do
		compare $depth 3 1
		[ $mode = always ] || ceiling $depth
		[ $mode != adaptive ] || ge "thousandths of the kernel's target at depth $depth" $RATIO 1000
	done
	our_target_end
done
kernel_target_end
