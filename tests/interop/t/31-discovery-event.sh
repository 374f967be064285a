# SPDX-License-Identifier: BSD-3-Clause
# a persistent discovery controller gets an event for every change, and stays
conf_new
conf_subsystem $NQN-2
target --config target.json
nvme discover -t tcp -a $A1 -s $PORT --persistent -k 10 > /dev/null
c=$(controllers $DISC)
eq "persistent discovery controllers" "$(echo $c | wc -w)" 1
eq cntrltype "$(attr $c cntrltype)" discovery
within 5 "$c is live" live $c

# There is no udev daemon here; what one would act on is the kernel's event.
udevadm monitor --kernel --property --subsystem-match=nvme > events &
monitor=$!
within 5 "monitor" grep -q KERNEL events
events_are() { [ "$(grep -c NVME_AEN=0x70f002 events)" -ge "$1" ]; }
records() { nvme discover -d $c -o json | jq -r '.records[].subnqn' | sort | uniq -c | xargs; }
shows() { records | grep -q "$1"; }
gen() { nvme discover -d $c -o json | jq .genctr; }
g=$(gen)

say "a subsystem appears"
conf_subsystem $NQN-3
host reload
within 10 "event" events_are 1
within 5 "it is in the log" shows "2 $NQN-3"
[ "$(gen)" -gt $g ] || fail "genctr did not grow"

say "and goes; the event was armed again by reading the log"
conf --arg n $NQN-3 '.subsystems |= map(select(.nqn != $n)) | .ports[].subsystems -= [$n]'
host reload
within 10 "event" events_are 2
hidden() { ! shows $NQN-3; }
within 5 "it is not in the log" hidden

say "the controller stays over its keep-alive time"
sleep 12
within 1 "$c is live" live $c
hasnt "kernel log" "$(dmesg)" "econnect"
kill $monitor
