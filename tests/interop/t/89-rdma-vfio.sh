# SPDX-License-Identifier: BSD-3-Clause
# NVMe/RDMA to SSDs by VFIO and io_uring: verified I/O up to 1 MiB, in capsules, and not one byte copied
# timeout: 200
# iommu
[ -x /host/bin/tcp_target ] || skip "the bench is not built"
BENCH=nqn.2014-08.org.nvmexpress:bench
s=$(ssd 2) pci=$(pci NVMFT-VFIO)
vfio_bind $pci
rdma_link 1
random_file a 1048576

# no_copies KIND: verified I/O, after which the engine must not have copied a byte between buffers
no_copies() {
	local d
	LD_LIBRARY_PATH=/tmp/bin /tmp/bin/tcp_target $1 rdma:$R1 > rdma.out 2> rdma.err &
	INNER=$!
	within 30 "a target for $1" grep -qE '^[0-9]+$' rdma.out
	PORT=$(head -n 1 rdma.out) rdma_connect -n $BENCH -i 1 > /dev/null
	d=$(disk 1 $BENCH)
	verify $d --size=2m
	verify $d --bs=1m --size=4m --iodepth=2 --verify_backlog=2
	copy if=a of=$d bs=4k seek=512 oflag=direct # a capsule holds 8 KiB
	copy if=$d of=b bs=1M skip=2 count=1 iflag=direct
	cmp a b
	nvme disconnect -n $BENCH > /dev/null
	kill $INNER
	wait $INNER || fail "the target for $1 ended with status $?: $(cat rdma.err)"
	tail -n 1 rdma.out
	ge "commands to $1" $(tail -n 1 rdma.out | jq .commands) 500
	eq "bytes copied for $1" $(tail -n 1 rdma.out | jq .copied_bytes) 0
}
no_copies vfio:$pci/2
no_copies nvme:$s
no_dma_fault
vfio_back $pci
