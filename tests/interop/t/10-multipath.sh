# SPDX-License-Identifier: BSD-3-Clause
# two paths, native multipath: one goes silent under verified I/O and comes back, no error
# timeout: 240
kernel_may_say 'timeout|failed'
host run truncate -s 64M disk.img
target_with disk.img
connect -a $A1 -k 5 -i 2 > /dev/null
connect -a $A2 -k 5 -i 2 > /dev/null
c1=$(controllers $NQN $A1) c2=$(controllers $NQN $A2)
eq "subsystems" "$(ls /sys/class/nvme-subsystem | wc -l)" 1
d=$(disk 1)
path_count() { [ "$(ls -d /sys/class/nvme/nvme*/nvme*c*n* | wc -l)" = $1 ]; }
within 5 "two paths to one disk" path_count 2
has "list-subsys" "$(nvme list-subsys $d)" "$c1 tcp .*traddr=$A1.* live"
has "list-subsys" "$(nvme list-subsys $d)" "$c2 tcp .*traddr=$A2.* live"
# So that both paths carry I/O at every moment.
policy=$(ls /sys/class/nvme-subsystem/nvme-subsys*/iopolicy)
echo round-robin > $policy

verify_start $d --time_based --runtime=30
host ip-del $A2
within 25 "the loss is noticed" not_live $c2
eq "the other path" "$(attr $c1 state)" live
sleep 2
host ip-add $A2
within 20 "the path is back" live $c2
verify_wait
eq "the other path, at the end" "$(attr $c1 state)" live

say "and the other one, which carried everything meanwhile"
verify_start $d --time_based --runtime=22
host ip-del $A1
within 20 "the loss is noticed" not_live $c1
host ip-add $A1
within 20 "the path is back" live $c1
verify_wait
