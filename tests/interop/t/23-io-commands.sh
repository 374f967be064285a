# SPDX-License-Identifier: BSD-3-Clause
# read, write, compare, write-zeroes, dsm, flush, and the optional ones as ONCS says
host run truncate -s 16M disk.img
target_with disk.img memory:16MiB,block=4096
connect > /dev/null
c=$(controllers $NQN)
oncs=$(nvme id-ctrl /dev/$c -o json | jq .oncs)
offers() { [ $((oncs >> $1 & 1)) = 1 ]; }
random_file a 8192; random_file b 8192
head -c 8192 /dev/zero > zero

commands() { # commands NSID BLOCKS (in 8 KiB)
	d=$(disk $1) n=$(($2 - 1))
	say "namespace $1, $2 blocks at a time"
	r() { nvme read $d -s $1 -c $n -z 8192 -d got > /dev/null; }
	nvme write $d -s 0 -c $n -z 8192 -d a
	r 0; cmp a got
	nvme write $d -s 0 -c $n -z 8192 -d b --force-unit-access
	r 0; cmp b got

	nvme compare $d -s 0 -c $n -z 8192 -d b || fail "compare of the same"
	refused "compare of another" nvme compare $d -s 0 -c $n -z 8192 -d a
	has "its status" "$REFUSAL" "Compare Failure"

	nvme write-zeroes $d -s 0 -c $n
	r 0; cmp zero got
	nvme write $d -s 0 -c $n -z 8192 -d a
	nvme write-zeroes $d -s 0 -c $n --deac
	r 0; cmp zero got

	nvme write $d -s 0 -c $n -z 8192 -d a
	nvme write $d -s $2 -c $n -z 8192 -d b
	nvme dsm $d -n $1 --ad -s 0 -b $2
	r 0; cmp zero got || cmp a got # deallocated blocks read as zeroes or as before
	r $2; cmp b got
	nvme flush $d -n $1

	if offers 1; then
		nvme write-uncor $d -s 0 -c $n
		refused "read of what is uncorrectable" r 0
		has "its status" "$REFUSAL" "Unrecovered Read Error"
		nvme write $d -s 0 -c $n -z 8192 -d a
		r 0; cmp a got
	else
		refused "write-uncor, not offered" nvme write-uncor $d -s 0 -c $n
		has "its status" "$REFUSAL" "Invalid Command Opcode"
	fi
	if offers 7; then
		nvme verify $d -s 0 -c $n
	else
		refused "verify, not offered" nvme verify $d -s 0 -c $n
		has "its status" "$REFUSAL" "Invalid Command Opcode"
	fi
	if offers 8; then
		nvme write $d -s 0 -c $n -z 8192 -d a
		nvme copy $d --sdlba=$((2 * $2)) --slbs=0 --blocks=$n
		r $((2 * $2)); cmp a got
	fi

	last=$((16777216 / 8192 * $2))
	refused "write beyond the end" nvme write $d -s $((last - 1)) -c $n -z 8192 -d a
	has "its status" "$REFUSAL" "LBA Out of Range"
	refused "write-zeroes beyond the end" nvme write-zeroes $d -s $last -c 0
	refused "an unknown opcode" nvme io-passthru $d --opcode=0x7e -n $1
	has "its status" "$REFUSAL" "Invalid Command Opcode"
}
commands 1 16
commands 2 2
within 1 "the controller is live" live $c
