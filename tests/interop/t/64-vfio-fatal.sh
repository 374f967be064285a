# SPDX-License-Identifier: BSD-3-Clause
# controller fatal status of an SSD driven through VFIO: reset under verified I/O; given up if it stays
# timeout: 240
# iommu
kernel_may_say 'Error|error|failed|timeout'
pci=$(pci NVMFT-VFIO)
vfio_bind $pci
# Without bus mastering the device cannot fetch its next command, and says CSTS.CFS. One write: there is nothing in between.
fatal() { setpci -s $pci COMMAND=0:4; }
count() { grep -c "$1" inner.log || :; }
back() { [ "$(count 'the controller is back')" -ge "$1" ]; }

inner_target --threads 2 --namespace vfio:$pci/1 --namespace memory:16MiB
inner_connect -i 2
c=$(controllers $NQN) d=$(disk 1)
verify_while_start $d $(disk 2)
for n in 1 2; do
	does_more_io $d
	fatal
	within 60 "reset $n is over" back $n
done
does_more_io $d
verify_while_end
has "the log" "$(cat inner.log)" "controller fatal status: resetting"
hasnt "the log" "$(cat inner.log)" "given up"
live $c

say "a controller that does not come back"
load_start $d
does_more_io $d
until grep -q "given up" inner.log; do
	kill -0 $INNER || fail "the target has ended"
	fatal
done
load_fails
within 60 "hosts see it no more" no_disk 1
verify $(disk 2) --size=2m
live $c
nvme disconnect -n $NQN
inner_end

say "the next target has it again"
inner_target --namespace vfio:$pci/1
inner_connect
verify $(disk 1) --size=2m
nvme disconnect -n $NQN
inner_end
vfio_back $pci
no_dma_fault
