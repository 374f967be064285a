# SPDX-License-Identifier: BSD-3-Clause
# a host that is not allowed: connect refused with a clear status, discovery hides the subsystem
kernel_may_say 'failed|Connect'
host run truncate -s 16M disk.img
conf_new
conf_file 1 disk.img
conf_subsystem $NQN-open
other=nqn.2014-08.org.nvmexpress:uuid:99999999-2222-4333-8444-555555555555
conf --arg h $other '.hosts = [{nqn: $h}] | .subsystems[0].attr.allow_any_host = "0" | .subsystems[0].allowed_hosts = [$h]'
target --config target.json

sees() { discover | jq -r '.records[] | select(.subtype == "nvme subsystem") | .subnqn' | sort -u | xargs; }
eq "subsystems seen" "$(sees)" $NQN-open
refused "connect" connect
has "kernel log" "$(dmesg)" "not allowed, hostnqn|Connect Invalid Host|error wo/DNR bit: 388"
eq "controllers" "$(controllers $NQN | wc -l)" 0

say "the allowed one"
connect -q $other -I 99999999-2222-4333-8444-555555555555 > /dev/null
disk 1
nvme disconnect -n $NQN > /dev/null
has "discovery as the allowed one" "$(nvme discover -t tcp -a $A1 -s $PORT -q $other -I 99999999-2222-4333-8444-555555555555)" "$NQN$"

say "and this one, once allowed"
conf --arg h $HOSTNQN '.hosts += [{nqn: $h}] | .subsystems[0].allowed_hosts += [$h]'
host reload
seen() { [ "$(sees)" = "$NQN $NQN-open" ]; }
within 5 "discovery shows it" seen
connect > /dev/null
disk 1

say "a subsystem that does not exist"
refused "connect" connect -n nqn.2024-01.org.nvmft:absent
within 1 "the others go on" live $(controllers $NQN)
