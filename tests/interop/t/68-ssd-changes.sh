# SPDX-License-Identifier: BSD-3-Clause
# a namespace of an SSD is detached from its controller or formatted under load: hosts are told, by each backend; the others go on
# timeout: 480
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

say "VFIO: formatted through the other controller"
reads() { awk '{ print $1 }' /sys/block/${1#/dev/}/stat; }
kernel_may_say 'error|failed|Error|Invalid'
k=/dev/$(name_of $sub0)
lbaf_of() { nvme id-ns $k -n 1 -o json | jq "[.lbafs[] | .ds == $1 and .ms == 0] | index(true)"; }
nvme format $k -n 1 -l $(lbaf_of 12) --force
inner_target --namespace vfio:$sub1/1,admin=0x80 --namespace memory:16MiB
inner_connect -i 2
d=$(disk 1) c=$(controllers $NQN)
eq "block size" "$(blockdev --getss $d)" 4096
random_file a 4096
nvme write $d -s 7 -c 0 -z 4096 -d a
refused "a host's format to other blocks" nvme format /dev/$c -n 1 -l 1 --force
nvme read $d -s 7 -c 0 -z 4096 -d b > /dev/null
cmp a b
nvme format /dev/$c -n 1 -l 0 --force
nvme read $d -s 7 -c 0 -z 4096 -d b > /dev/null
head -c 4096 /dev/zero | cmp - b
# The device tells of attachments only, and of a format to nobody but who does it.
before=$(reads $d)
fio --name=load --filename=$d --ioengine=io_uring --direct=1 --rw=randrw --bs=4k --size=8m --iodepth=16 --verify=crc32c \
	--allow_file_create=0 --time_based --runtime=90 > load.out 2>&1 &
load=$!
within 30 "the load runs" eval '[ $(reads $d) -gt $((before + 200)) ]'
nvme detach-ns $k -n 1 -c $id1
nvme format $k -n 1 -l $(lbaf_of 9) --force
nvme attach-ns $k -n 1 -c $id1
within 40 "the load has ended" eval "! kill -0 $load"
if wait $load; then fail "the load saw no error"; fi
within 20 "the host's disk is gone" no_disk 1
within 20 "the log" grep -q "has another format now" inner.log
verify $(disk 2) --size=2m
live $c
nvme disconnect -n $NQN
inner_end
no_dma_fault
