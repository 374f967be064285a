# SPDX-License-Identifier: BSD-3-Clause
# controller fatal status of an SSD driven through VFIO: reset under verified I/O; given up if it stays
# timeout: 240
# iommu
# by hand
kernel_may_say 'Error|error|failed|timeout'
pci=$(pci NVMFT-VFIO)
vfio_bind $pci
bar=$(sed -n '1s/ .*//p' /sys/bus/pci/devices/$pci/resource)
register() { devmem $((bar + $1)) 32 $2; } # register OFFSET VALUE
# Stopped and started with an admin queue of no entries: the device cannot, and says CSTS.CFS.
fatal() {
	register 0x14 0
	register 0x24 0
	register 0x14 0x460001
}
is_fatal() { [ $(($(devmem $((bar + 0x1c)) 32) & 2)) = 2 ]; }
count() { grep -c "$1" inner.log || :; }

inner_target --threads 2 --namespace vfio:$pci/1 --namespace memory:16MiB
inner_connect -i 2
c=$(controllers $NQN) d=$(disk 1)
verify_all_start $d $(disk 2) -- --time_based --runtime=12
for n in 1 2; do
	sleep 2
	fatal
	is_fatal || say "recovered already"
	within 10 "reset $n is over" eval "[ \$(count 'the controller is back') -ge $n ]"
done
verify_all_wait
has "the log" "$(cat inner.log)" "fatal status"
live $c

say "a controller that does not come back"
fio --name=load --filename=$d --ioengine=io_uring --direct=1 --rw=randrw --bs=4k --size=8m --iodepth=16 \
	--time_based --runtime=90 > load.out 2>&1 &
load=$!
within 30 "the load runs" does_io $d
n=0
until grep -q "given up" inner.log; do
	fatal
	n=$((n + 1))
	[ $n -lt 3000 ] || fail "not given up"
done
within 40 "the load has ended" eval "! kill -0 $load"
within 10 "hosts see it no more" no_disk 1
verify $(disk 2)
live $c
nvme disconnect -n $NQN
inner_end

say "the next target has it again"
inner_target --namespace vfio:$pci/1
inner_connect
verify $(disk 1)
nvme disconnect -n $NQN
inner_end
no_dma_fault
