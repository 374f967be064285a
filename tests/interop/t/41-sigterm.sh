# SPDX-License-Identifier: BSD-3-Clause
# SIGTERM: the target drains and ends with status 0, idle and under verified I/O
kernel_may_say 'timeout|failed'
host run truncate -s 64M disk.img
target_with disk.img
host term || fail "without any connection, the target ended with $?"
host restart
connect -i 2 > /dev/null
c=$(controllers $NQN) d=$(disk 1)
host term || fail "with an idle connection, the target ended with $?"
host restart
within 20 "$c is live again" live $c

verify_start $d --time_based --runtime=15
sleep 2
host term || fail "under I/O, the target ended with $?"
host restart
within 20 "$c is live again" live $c
verify_wait
