# SPDX-License-Identifier: BSD-3-Clause
# SSDs driven through VFIO go away under I/O: retryable errors, nothing hangs, other namespaces go on
# timeout: 300
# iommu
kernel_may_say 'Error|error|failed|timeout|Unable'
present() { [ -e "/sys/bus/pci/devices/$hot" ]; }
absent() { ! present; }
has_nvme() { [ "$(driver_of $hot)" = nvme ]; }
hot=$(pci NVMFT-HOT) other=$(pci NVMFT-VFIO)
for way in unplugged removed; do
	say "$way"
	vfio_bind $hot $other
	inner_target --threads 2 --namespace vfio:$hot/1 --namespace vfio:$other/1 --namespace memory:16MiB
	inner_connect -i 2
	c=$(controllers $NQN) d=$(disk 1) e=$(disk 2)
	verify_while_start $e $(disk 3)
	load_start $d
	does_more_io $d
	does_more_io $e
	if [ $way = unplugged ]; then
		host qmp device_del id=hot
	else
		echo 1 > /sys/bus/pci/devices/$hot/remove &
	fi
	within 60 "$hot is $way" absent
	load_fails
	within 60 "hosts see it no more" no_disk 1
	does_more_io $e
	verify_while_end
	live $c
	has "the log" "$(cat inner.log)" "$hot: .*(wanted back|gone)"
	for n in 2 3; do
		nvme flush $(disk $n) -n $n
	done
	nvme disconnect -n $NQN
	inner_end
	vfio_back $other
	plug_in
	within 60 "$hot is back" present
	# The override went with the device.
	within 60 "its driver" has_nvme
done
no_dma_fault
