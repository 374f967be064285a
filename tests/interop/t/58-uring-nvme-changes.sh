# SPDX-License-Identifier: BSD-3-Clause
# a device through io_uring passthrough is resized, formatted by a host that may, and removed: hosts are told
# timeout: 480
reads() { awk '{ print $1 }' /sys/block/${1#/dev/}/stat; }
kernel_may_say 'error|failed|Error|Invalid|unable|identifiers changed'

# The kernel's own target over a loop makes a device that can be resized.
loop=nqn.2024-01.org.nvmft:loop cfg=/sys/kernel/config/nvmet
modprobe -a nvmet nvme-loop
mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
truncate -s 16M /tmp/back.img
mkdir $cfg/subsystems/$loop $cfg/ports/9
echo 1 > $cfg/subsystems/$loop/attr_allow_any_host
ns=$cfg/subsystems/$loop/namespaces/5
mkdir $ns
echo /tmp/back.img > $ns/device_path
echo 1 > $ns/buffered_io
echo 1 > $ns/enable
echo loop > $cfg/ports/9/addr_trtype
ln -s $cfg/subsystems/$loop $cfg/ports/9/subsystems/$loop
nvme connect -t loop -n $loop
s=$(disk 5 $loop) s=/dev/ng${s#/dev/nvme}

say "resize"
# Another name, as this kernel sees both.
uuid=43c4260a-826b-475d-9b42-883b4258f53f
inner_target --namespace nvme:$s,uuid=$uuid --namespace nvme:$(ssd 2),admin=0x80 --namespace nvme:$(ssd 1)
inner_connect -i 2
d=$(disk 1) c=$(controllers $NQN)
size_is $d 16777216
resize() { truncate -s $1 /tmp/back.img; echo 1 > $ns/revalidate_size; }
resize 32M
within 20 "the host sees the new size" size_is $d 33554432
verify $d --offset=16m --size=2m
resize 8M
within 20 "the host sees it shrink" size_is $d 8388608
resize 16M
within 20 "and grow again" size_is $d 16777216

say "a size that changes under load"
verify_start $d --time_based --runtime=6
for size in 32M 24M 16M; do
	sleep 1
	resize $size
done
verify_wait
within 20 "the last size" size_is $d 16777216

say "admin commands: those that are allowed, for that namespace"
f=$(disk 2)
random_file a 4096
nvme write $f -s 7 -c 0 -z 4096 -d a
refused "a format where it is not" nvme format /dev/$c -n 3 -l 0 --force
nvme format /dev/$c -n 2 -l 0 --force
nvme read $f -s 7 -c 0 -z 4096 -d b > /dev/null
head -c 4096 /dev/zero | cmp - b

say "a host may not format it to other blocks, which others use"
lbaf=$(nvme id-ns $(ssd 2) -o json | jq '.flbas % 16')
device=/dev/$(basename "$(grep -l NVMFT-SSD /sys/class/nvme/nvme*/serial | sed 's,/serial,,')")
verify_start $f --time_based --runtime=4
refused "another format" nvme format /dev/$c -n 2 -l 1 --force
has "the reason" "$REFUSAL" "[Ii]nvalid [Ff]ormat|INVALID_FORMAT|10a"
verify_wait
eq "the device's format" "$(nvme id-ns $(ssd 2) -o json | jq '.flbas % 16')" "$lbaf"

say "formatted to other blocks on this machine, under load: it is gone for hosts, and the others lose nothing"
before=$(reads $f)
fio --name=load --filename=$f --ioengine=io_uring --direct=1 --rw=randrw --bs=4k --size=8m --iodepth=16 --verify=crc32c \
	--allow_file_create=0 --time_based --runtime=90 > load.out 2>&1 &
load=$!
within 30 "the load runs" eval '[ $(reads $f) -gt $((before + 200)) ]'
nvme format $device -n 2 -l 0 --force
within 40 "the load has ended" eval "! kill -0 $load"
if wait $load; then fail "the load saw no error"; fi
within 20 "the disk is gone" no_disk 2
has "the log" "$(cat inner.log)" "has another format now"
verify $(disk 3) --size=2m
live $c
nvme format $device -n 2 -l $lbaf --force

say "removal under load"
before=$(reads $d)
fio --name=load --filename=$d --ioengine=io_uring --direct=1 --rw=randrw --bs=4k --size=8m --iodepth=16 \
	--allow_file_create=0 --time_based --runtime=90 > load.out 2>&1 &
load=$!
within 30 "the load runs" eval '[ $(reads $d) -gt $((before + 200)) ]'
echo 0 > $ns/enable
within 40 "the load has ended" eval "! kill -0 $load"
within 20 "the disk is gone" no_disk 1
verify $(disk 3) --size=2m
live $c
inner_end
nvme disconnect -n $loop
rm $cfg/ports/9/subsystems/$loop
rmdir $ns $cfg/subsystems/$loop $cfg/ports/9
rm /tmp/back.img
