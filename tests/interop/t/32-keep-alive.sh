# SPDX-License-Identifier: BSD-3-Clause
# an idle connection lives past its keep-alive time; a host that fell silent is dropped
target_with memory:16MiB
connect -k 5 -i 1 > /dev/null
c=$(controllers $NQN)
disk 1
eq kato "$(attr $c kato)" 5
eq "connections" "$(host connections)" 2
sleep 12
eq state "$(attr $c state)" live
eq "the same connections" "$(host connections)" 2
hasnt "kernel log" "$(dmesg)" "econnect|timeout"

say "the host is stopped for longer than its keep-alive time"
kernel_may_say 'timeout|failed'
eq "connections that the target kept" "$(host freeze 14)" 0
within 20 "$c is live again" live $c
verify $(disk 1) --size=1m
