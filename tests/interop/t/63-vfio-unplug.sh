# SPDX-License-Identifier: BSD-3-Clause
# SSDs driven through VFIO go away under I/O: retryable errors, nothing hangs, other namespaces go on
# timeout: 300
# iommu
# by hand
kernel_may_say 'Error|error|failed|timeout|Unable'
present() { [ -e "/sys/bus/pci/devices/$hot" ]; }
hot=$(pci NVMFT-HOT) other=$(pci NVMFT-VFIO)
for way in unplugged removed; do
	say "$way"
	vfio_bind $hot $other
	inner_target --threads 2 --namespace vfio:$hot/1 --namespace vfio:$other/1 --namespace memory:16MiB
	inner_connect -i 2
	c=$(controllers $NQN) d=$(disk 1)
	verify_all_start $(disk 2) $(disk 3) -- --time_based --runtime=20
	fio --name=load --filename=$d --ioengine=io_uring --direct=1 --rw=randrw --bs=4k --size=8m --iodepth=16 \
		--time_based --runtime=90 > load.out 2>&1 &
	load=$!
	within 30 "the load runs" does_io $d
	kill -0 $load
	if [ $way = unplugged ]; then
		host qmp device_del id=hot
	else
		echo 1 > /sys/bus/pci/devices/$hot/remove &
	fi
	within 30 "$hot is $way" eval "! present"
	within 40 "the load has ended" eval "! kill -0 $load"
	has "its errors" "$(cat load.out)" "err= *(5|6|19|61|121)"
	within 10 "hosts see it no more" no_disk 1
	verify_all_wait
	live $c
	has "the log" "$(cat inner.log)" "$hot|unplug|gone|remove"
	for n in 2 3; do
		nvme flush $(disk $n) -n $n
	done
	nvme disconnect -n $NQN
	inner_end
	vfio_back $other
	if [ $way = unplugged ]; then
		host qmp device_add driver=nvme id=hot bus=port1 serial=NVMFT-HOT mdts=5 drive=hot
	else
		echo 1 > /sys/bus/pci/rescan
	fi
	within 20 "$hot is back" present
	# The override went with the device.
	within 10 "its driver" eval "[ $(driver_of $hot) = nvme ]"
done
no_dma_fault
