# SPDX-License-Identifier: BSD-3-Clause
# the target is stopped for longer than the keep-alive time, then goes on: no verify error
kernel_may_say 'timeout|failed'
target_with memory:32MiB
connect -k 5 -i 2 > /dev/null
c=$(controllers $NQN) d=$(disk 1)
verify_start $d --time_based --runtime=30
host signal STOP
within 25 "the host gives up the connection" not_live $c
host signal CONT
within 20 "$c is live again" live $c
verify_wait
