# SPDX-License-Identifier: BSD-3-Clause
# get-feature and set-feature: values of this connection, set values come back
target_with memory:16MiB
connect -k 12 -i 2 > /dev/null
c=$(controllers $NQN)
get() { # the value of a feature as a decimal number
	v=$(nvme get-feature /dev/$c -f "$1" -n "${2:-0}") || { echo "$v" >&2; return 1; }
	echo $(($(printf '%s\n' "$v" | grep -oE '(v|V)alue: *0x[0-9a-fA-F]+' | head -1 | grep -oE '0x[0-9a-fA-F]+')))
}
set_() { nvme set-feature /dev/$c -f "$1" -V "$2" "${3:---cdw12=0}"; }

queues=$(get 7)
ge "submission queues (0's based)" $((queues & 0xffff)) 1
eq "as many completion queues" $((queues >> 16)) $((queues & 0xffff))
eq "keep alive in ms" "$(get 0x0f)" 12000
eq "events: the kernel enabled namespace notices" $(($(get 0x0b) >> 8 & 1)) 1
for f in 1 2 4 5 8 9 10; do
	if v=$(get $f 2> err); then echo "ok: feature $f = $v"
	else has "feature $f, if not offered" "$(cat err)" "Invalid Field"; fi
done
nvme get-feature /dev/$c -f 0x81 --cdw11=1 -l 16 -b > hostid || fail "host identifier"
eq "host identifier" "$(od -An -tx1 -N16 hostid | tr -d ' \n')" "$(echo $HOSTID | tr -d -)"

say "set"
aec=$(get 0x0b)
set_ 0x0b 0
eq "events, set to none" "$(get 0x0b)" 0
set_ 0x0b $aec
eq "events, set back" "$(get 0x0b)" $aec
eq "write cache" "$(get 6)" $(($(nvme id-ctrl /dev/$c -o json | jq .vwc) & 1))
capabilities=$(nvme get-feature /dev/$c -f 6 -s 3)
echo "$capabilities"
if echo "$capabilities" | grep -q "Feature is changeable"; then
	set_ 6 0
	eq "write cache off" "$(get 6)" 0
	set_ 6 1
	eq "write cache on" "$(get 6)" 1
else
	refused "write cache off" set_ 6 0
	has "its status" "$REFUSAL" "Feature Not Changeable"
fi
refused "number of queues, after they were made" set_ 7 0x00030003
refused "a feature that cannot be saved" nvme set-feature /dev/$c -f 0x0b -V 0 --save
refused "an unknown feature" get 0x7e
within 1 "the controller is live" live $c
