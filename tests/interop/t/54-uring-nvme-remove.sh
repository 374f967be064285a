# SPDX-License-Identifier: BSD-3-Clause
# an SSD through io_uring passthrough goes away under I/O: retryable errors, nothing hangs, other namespaces go on
# timeout: 180
kernel_may_say 'Error|error|failed'
inner_target --namespace nvme:$(ssd 1) --namespace memory:16MiB
inner_connect -i 2
c=$(controllers $NQN) d=$(disk 1) m=$(disk 2)
fio --name=load --filename=$d --ioengine=io_uring --direct=1 --rw=randrw --bs=4k --size=8m --iodepth=16 \
	--time_based --runtime=60 > load.out 2>&1 &
load=$!
sleep 3
kill -0 $load
for p in /sys/bus/pci/drivers/nvme/0000:*; do echo 1 > $p/remove; done
within 40 "the load has ended" eval "! kill -0 $load"
refused "a read" nvme read $d -s 0 -c 0 -z 512 -d got
has "its status" "$REFUSAL" "not ready|Not Ready"
refused "a flush" nvme flush $d -n 1
verify $m
live $c
has "the log" "$(cat inner.log)" "did not reach the device"
inner_end
# For the tests that follow.
echo 1 > /sys/bus/pci/rescan
