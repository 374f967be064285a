# SPDX-License-Identifier: BSD-3-Clause
# discover: every subsystem on every address, well-formed records, generation counter
host run truncate -s 16M disk.img
conf_new
conf_file 1 disk.img
conf_subsystem $NQN-2
target --config target.json

log=$(discover $A1)
subsystems() { echo "$log" | jq -r '.records[] | select(.subtype == "nvme subsystem") | '"$1"; }
eq "subsystem records" "$(subsystems .subnqn | wc -l)" 4
for n in $NQN $NQN-2; do for a in $A1 $A2; do
	eq "records of $n at $a" "$(subsystems "select(.subnqn == \"$n\" and .traddr == \"$a\") | .trsvcid" | xargs)" $PORT
done; done
eq trtype "$(subsystems .trtype | sort -u)" tcp
eq adrfam "$(subsystems .adrfam | sort -u)" ipv4
has treq "$(subsystems .treq | sort -u)" "^not (specified|required)"
eq sectype "$(subsystems .sectype | sort -u)" none
eq "port identifiers" "$(subsystems '(.portid | tostring) + " " + .traddr' | sort -u | xargs)" "1 $A1 2 $A2"
eq "eflags of subsystems" "$(subsystems .eflags | sort -u)" none

say "the discovery subsystem describes itself, and offers persistent connections (EPCSD)"
self=$(echo "$log" | jq -r '.records[] | select(.subtype == "current discovery subsystem") | .subnqn + " " + .traddr + " " + .eflags')
has "own record" "$self" "^$DISC $A1 "
has "own eflags" "$self" "explicit discovery connections"

say "the raw log: one record format, header count and length agree"
nvme discover -t tcp -a $A2 -s $PORT --raw=log.raw > /dev/null
count=$(od -An -tu8 -j8 -N8 log.raw | tr -d ' ')
eq "numrec" "$count" "$(echo "$log" | jq '.records | length')"
eq "recfmt" "$(od -An -tu2 -j16 -N2 log.raw | tr -d ' ')" 0

say "the generation counter moves only with a change"
gen=$(echo "$log" | jq .genctr)
eq "genctr asked again" "$(discover $A1 | jq .genctr)" "$gen"
conf_subsystem $NQN-3
host reload
third() { discover $A2 | jq -e --arg n $NQN-3 '[.records[] | select(.subnqn == $n)] | length == 2'; }
within 5 "third subsystem appears" third
[ "$(discover $A1 | jq .genctr)" != "$gen" ] || fail "genctr did not move"
