# SPDX-License-Identifier: BSD-3-Clause
# header and data digests: alone and together, small and large I/O
# The initiator refuses an ICResp whose digests differ from what it asked for, and drops the
# connection at a digest that does not fit; so a live controller and verified data prove them.
host run truncate -s 64M disk.img
target_with disk.img
random_file a 4194304
for g in -g -G "-g -G"; do
	connect $g -i 2 > /dev/null
	c=$(controllers $NQN)
	d=$(disk 1)
	dd if=a of=$d bs=1M oflag=direct 2> /dev/null
	dd if=$d of=b bs=256k count=16 iflag=direct 2> /dev/null
	cmp a b
	verify $d --size=4m --bsrange=4k-128k
	within 1 "$c with $g is live" live $c
	nvme disconnect -n $NQN > /dev/null
done
hasnt "kernel log" "$(dmesg)" "digest|reconnect"
