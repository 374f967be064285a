# SPDX-License-Identifier: BSD-3-Clause
# kill -9 of the target under verified I/O, restart, reconnect: no verify error, three times
# timeout: 240
kernel_may_say 'timeout|failed'
host run truncate -s 64M disk.img
target_with disk.img
connect -i 2 > /dev/null
c=$(controllers $NQN) d=$(disk 1)
verify_start $d --time_based --runtime=24
for pause in 2.3 1.1 2.7; do
	sleep $pause
	host kill9
	within 10 "noticed" not_live $c
	sleep 1
	host restart
	within 20 "$c is live again" live $c
done
verify_wait
has "kernel log" "$(dmesg)" "Reconnecting"

say "what was acknowledged as written with FUA or flushed is there"
for i in 1 2 3; do
	random_file a 1048576
	/usr/bin/dd if=a of=$d bs=64k seek=$((i * 16)) oflag=direct,sync 2> /dev/null
	host kill9
	dd if=/host/disk.img of=b bs=64k skip=$((i * 16)) count=16 2> /dev/null
	cmp a b
	host restart
	within 20 "$c is live again" live $c
done
