# SPDX-License-Identifier: BSD-3-Clause
# several namespaces of one SSD and two controllers of one subsystem through VFIO, verified I/O on all at once
# timeout: 300
# iommu
kernel_may_say 'timeout|failed'
ssd=$(pci NVMFT-VFIO) sub0=$(pci NVMFT-SUB 1) sub1=$(pci NVMFT-SUB 2)
vfio_bind $ssd $sub0 $sub1
inner_target --threads 2 --namespace vfio:$ssd/1 --namespace vfio:$ssd/2 --namespace vfio:$ssd/5 \
	--namespace vfio:$sub0/2 --namespace vfio:$sub1/3
inner_connect_twice
verify_all $(disk 1) $(disk 2) $(disk 3) $(disk 4) $(disk 5) -- --size=1m
nvme disconnect -n $NQN
inner_end

say "the namespace that both controllers have"
inner_target --threads 2 --namespace vfio:$sub0/1 --namespace vfio:$sub1/1
inner_connect -i 2
random_file a 1048576
copy if=a of=$(disk 1) bs=256k oflag=direct
copy if=$(disk 2) of=b bs=256k count=4 iflag=direct
cmp a b
nvme disconnect -n $NQN
inner_end

say "one of the namespaces is removed and added again, the others do not notice"
conf_new
conf '.ports |= [.[0]] | .ports[0].addr.traddr = "127.0.0.1"'
with() { # with NSID...: of the SSD
	conf '.subsystems[0].namespaces = []'
	for n; do
		conf --argjson n $n --arg a $ssd '.subsystems[0].namespaces += [{nsid: $n, enable: 1,
			backend: {type: "vfio", address: $a, nsid: $n}}]'
	done
}
with 1 2
inner_start --config /host/target.json --threads 2
inner_connect -i 2
d=$(disk 1)
verify_while_start $d
does_more_io $d
with 1
kill -HUP $INNER
within 60 "namespace 2 is gone" no_disk 2
does_more_io $d
with 1 2
kill -HUP $INNER
within 60 "namespace 2 is back" find_disk 2 $NQN
verify $(disk 2) --size=1m
does_more_io $d
verify_while_end
nvme disconnect -n $NQN
inner_end
vfio_back $ssd $sub0 $sub1
no_dma_fault
