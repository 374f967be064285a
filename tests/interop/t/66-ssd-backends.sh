# SPDX-License-Identifier: BSD-3-Clause
# one SSD by each backend at the same time: verified I/O on both, kill -9 under load, restart, verify
# timeout: 300
# iommu
kernel_may_say 'timeout|failed'
nvme=$(ssd 1) vfio=$(pci NVMFT-VFIO)
vfio_bind $vfio
set -- --threads 2 --namespace nvme:$nvme --namespace vfio:$vfio/1
inner_target "$@"
inner_connect -i 2
c=$(controllers $NQN)
d1=$(disk 1) d2=$(disk 2)
say "verified I/O on both"
verify_all $d1 $d2 -- --bsrange=4k-128k

say "kill -9 under load, twice"
verify_all_start $d1 $d2 -- --time_based --runtime=16
for pause in 2.3 1.4; do
	sleep $pause
	inner_kill9
	within 10 "noticed" not_live $c
	inner_restart "$@"
	within 20 "$c is live again" live $c
done
verify_all_wait

say "what was acknowledged is there after another kill, and without the target"
random_file a 1048576; random_file b 1048576
copy if=a of=$d1 bs=64k seek=16 oflag=direct,sync
copy if=b of=$d2 bs=64k seek=16 oflag=direct,sync
inner_kill9
inner_restart "$@"
within 20 "$c is live again" live $c
verify_all $d1 $d2 -- --size=1m
copy if=$d1 of=got bs=64k skip=16 count=16 iflag=direct
cmp a got
copy if=$d2 of=got bs=64k skip=16 count=16 iflag=direct
cmp b got
nvme disconnect -n $NQN
inner_end
vfio_back $vfio
copy if=/dev/nvme${nvme#/dev/ng} of=got bs=64k skip=16 count=16 iflag=direct
cmp a got
copy if=$(kernel_disk NVMFT-VFIO 1) of=got bs=64k skip=16 count=16 iflag=direct
cmp b got
no_dma_fault
