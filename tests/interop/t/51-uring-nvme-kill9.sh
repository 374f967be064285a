# SPDX-License-Identifier: BSD-3-Clause
# an SSD through io_uring passthrough: kill -9 of the target under verified I/O, restart
# timeout: 240
kernel_may_say 'timeout|failed'
start() { inner_target --namespace nvme:$(ssd 1) --namespace nvme:$(ssd 2); }
start
inner_connect -i 2
c=$(controllers $NQN) d=$(disk 1)
verify_start $d --time_based --runtime=20
for pause in 2.3 1.1; do
	sleep $pause
	inner_kill9
	within 10 "noticed" not_live $c
	start
	within 20 "$c is live again" live $c
done
verify_wait

say "what was acknowledged as written with FUA is on the device"
random_file a 1048576
/usr/bin/dd if=a of=$d bs=64k oflag=direct,sync 2> /dev/null
inner_kill9
dd if=/dev/nvme$(ssd 1 | sed 's,/dev/ng,,') of=b bs=64k count=16 iflag=direct 2> /dev/null
cmp a b
