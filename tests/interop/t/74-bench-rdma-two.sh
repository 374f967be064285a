# SPDX-License-Identifier: BSD-3-Clause
# NVMe/RDMA beside the kernel's target on one soft-RoCE link and two processors: 4 KiB random reads of null devices
# timeout: 600
# by hand
# two processors
. /host/lib/rdma-bench.sh
rdma_link 1
kernel_target
for how in never adaptive always "always --cpus 1"; do
	say "polling: $how"
	our_target --poll $how
	for depth in 1 32; do
		compare $depth 5 1
	done
	our_target_end
done
kernel_target_end
