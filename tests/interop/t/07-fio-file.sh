# SPDX-License-Identifier: BSD-3-Clause
# fio randrw with crc32c verify on file namespaces of 512 and 4096 byte blocks
host run truncate -s 32M a.img b.img
target_with a.img b.img,block=4096
connect -i 4 > /dev/null
for n in 1:512 2:4096; do
	d=$(disk ${n%:*})
	eq "size of $d" "$(blockdev --getsize64 $d)" 33554432
	eq "block size of $d" "$(blockdev --getss $d)" ${n#*:}
	verify $d --bsrange=4k-64k
	verify $d --bs=${n#*:} --size=256k --fsync=16
done
say "what was written is in the file, at the right place"
random_file a 65536
dd if=a of=$(disk 2) bs=64k seek=100 oflag=direct conv=fsync 2> /dev/null
dd if=/host/b.img of=b bs=64k skip=100 count=1 2> /dev/null
cmp a b
