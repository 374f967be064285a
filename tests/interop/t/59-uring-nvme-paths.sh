# SPDX-License-Identifier: BSD-3-Clause
# a namespace of two controllers through io_uring passthrough: the loss of either is survived, that of both is retryable
# timeout: 300
reads() { awk '{ print $1 }' /sys/block/${1#/dev/}/stat; }
kernel_may_say 'error|failed|Error|Invalid'
s=$(ssd 1 NVMFT-SUBSYSTEM)
inner_target --namespace nvme:$s,admin=0x80 --namespace memory:16MiB
inner_connect -i 2
d=$(disk 1) c=$(controllers $NQN) m=$(disk 2)
paths() { grep -l NVMFT-SUB /sys/class/nvme/nvme*/serial | wc -l; }
paths_are() { [ "$(paths)" = "$1" ]; }
format() {
	random_file a 512
	nvme write $d -s 9 -c 0 -z 512 -d a
	nvme format /dev/$c -n 1 -l 0 --force
	nvme read $d -s 9 -c 0 -z 512 -d b > /dev/null
	head -c 512 /dev/zero | cmp - b
}
eq "paths" "$(paths)" 2
verify $d --size=2m
format
for n in 1 2; do
	say "without controller $n"
	p=$(pci NVMFT-SUB $n)
	verify_start $d --time_based --runtime=8
	sleep 2
	echo 1 > /sys/bus/pci/devices/$p/remove
	eq "paths" "$(paths)" 1
	verify_wait
	format
	echo 1 > /sys/bus/pci/rescan
	within 20 "it is back" paths_are 2
	within 20 "and is used" eval "grep -q live /sys/class/nvme/*/state"
	verify $d --size=2m
done

say "without any"
before=$(reads $d)
fio --name=load --filename=$d --ioengine=io_uring --direct=1 --rw=randrw --bs=4k --size=8m --iodepth=16 \
	--allow_file_create=0 --time_based --runtime=90 > load.out 2>&1 &
load=$!
within 30 "the load runs" eval '[ $(reads $d) -gt $((before + 200)) ]'
for n in 1 1; do echo 1 > /sys/bus/pci/devices/$(pci NVMFT-SUB $n)/remove; done
within 40 "the load has ended" eval "! kill -0 $load"
within 20 "the disk is gone" no_disk 1
verify $m --size=2m
live $c
inner_end
# For the tests that follow.
echo 1 > /sys/bus/pci/rescan
within 20 "both are back" paths_are 2
