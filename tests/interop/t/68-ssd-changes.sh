# SPDX-License-Identifier: BSD-3-Clause
# a namespace of an SSD is detached from its controller under load: hosts are told, by each backend; the others go on
# timeout: 300
# iommu
kernel_may_say 'error|failed|Error'

sub0=$(pci NVMFT-SUB 1) sub1=$(pci NVMFT-SUB 2)
name_of() { basename /sys/bus/pci/devices/$1/nvme/nvme*; }
cntlid_of() { nvme id-ctrl /dev/$(name_of $1) -o json | jq .cntlid; }
id0=$(cntlid_of $sub0) id1=$(cntlid_of $sub1)
say "io_uring passthrough: removal"
inner_target --namespace nvme:$(ssd 3 NVMFT-SUBSYSTEM) --namespace memory:16MiB
inner_connect -i 2
d=$(disk 1) c=$(controllers $NQN)
nvme detach-ns /dev/$(name_of $sub0) -n 3 -c $id1
within 20 "the host's disk is gone" no_disk 1
verify $(disk 2) --size=2m
live $c
nvme disconnect -n $NQN
inner_end
nvme attach-ns /dev/$(name_of $sub0) -n 3 -c $id1
ssd 3 NVMFT-SUBSYSTEM

say "VFIO: removal"
vfio_bind $sub1
inner_target --namespace vfio:$sub1/1 --namespace vfio:$sub1/3 --namespace memory:16MiB
inner_connect -i 2
d=$(disk 1) c=$(controllers $NQN)
verify_all_start $(disk 2) $(disk 3) -- --time_based --runtime=10
nvme detach-ns /dev/$(name_of $sub0) -n 1 -c $id1
within 20 "the host's disk is gone" no_disk 1
verify_all_wait
live $c
nvme disconnect -n $NQN
inner_end
nvme attach-ns /dev/$(name_of $sub0) -n 1 -c $id1
no_dma_fault
