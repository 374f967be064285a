# SPDX-License-Identifier: BSD-3-Clause
# an SSD through io_uring passthrough goes away under I/O: retryable errors, nothing hangs, other namespaces go on
# timeout: 180
reads() { awk '{ print $1 }' /sys/block/${1#/dev/}/stat; }
kernel_may_say 'Error|error|failed'
inner_target --namespace nvme:$(ssd 1) --namespace memory:16MiB
inner_connect -i 2
c=$(controllers $NQN) d=$(disk 1) m=$(disk 2)
before=$(reads $d)
fio --name=load --filename=$d --ioengine=io_uring --direct=1 --rw=randrw --bs=4k --size=8m --iodepth=16 \
	--allow_file_create=0 --time_based --runtime=90 > load.out 2>&1 &
load=$!
within 30 "the load runs" eval '[ $(reads $d) -gt $((before + 200)) ]'
for p in /sys/bus/pci/drivers/nvme/0000:*; do echo 1 > $p/remove; done
within 40 "the load has ended" eval "! kill -0 $load"
within 20 "the disk is gone" no_disk 1
verify $m
live $c
has "the log" "$(cat inner.log)" "namespace 1: its device is gone"
inner_end
# For the tests that follow.
echo 1 > /sys/bus/pci/rescan
