# SPDX-License-Identifier: BSD-3-Clause
# nvme reset under verified I/O, disconnect by device, many connects and disconnects
target_with memory:16MiB
connect -i 2 > /dev/null
c=$(controllers $NQN) d=$(disk 1)
verify_start $d --time_based --runtime=8
for i in 1 2 3; do
	nvme reset /dev/$c
	within 10 "reset $i: live" live $c
	sleep 1
done
verify_wait
has "kernel log" "$(dmesg)" "resetting controller"
hasnt "kernel log" "$(dmesg)" "Reconnecting"
nvme disconnect -d $c
within 5 "the device is gone" gone /dev/$c

say "ten times"
for i in 1 2 3 4 5 6 7 8 9 10; do
	connect -i 1 > /dev/null
	nvme disconnect -n $NQN > /dev/null
done
no_connections() { [ "$(host connections)" = 0 ]; }
within 5 "no connection is left at the target" no_connections
