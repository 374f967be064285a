# SPDX-License-Identifier: BSD-3-Clause
# blkdiscard and blkdiscard -z free the space of a file namespace; flush
host run truncate -s 32M disk.img
target_with disk.img
connect > /dev/null
d=$(disk 1)
used() { host run stat -c %b disk.img; } # in units of 512 bytes
ge "discard, offered" "$(cat /sys/block/${d#/dev/}/queue/discard_max_bytes)" 1
random_file a 16777216
fill() {
	dd if=a of=$d bs=1M oflag=direct conv=fsync 2> /dev/null
	ge "blocks used" "$(used)" 32768
}
fill
nvme flush $d -n 1
blkdiscard -o 4194304 -l 12582912 $d
[ "$(used)" -lt 16384 ] || fail "space was not freed: $(used) blocks of 512 bytes"
dd if=$d of=b bs=1M count=4 iflag=direct 2> /dev/null
cmp -n 4194304 a b
fill
/usr/sbin/blkdiscard -z -o 1048576 -l 4194304 $d
dd if=$d of=b bs=1M count=8 iflag=direct 2> /dev/null
[ "$(dd if=b bs=1M skip=1 count=4 2> /dev/null | tr -d '\000' | wc -c)" = 0 ] || fail "not zero"
dd if=a bs=1M skip=5 count=3 2> /dev/null > rest
dd if=b bs=1M skip=5 count=3 2> /dev/null | cmp - rest
cmp -n 1048576 a b
