# SPDX-License-Identifier: BSD-3-Clause
# fio randrw with crc32c verify on memory namespaces of 512 and 4096 byte blocks
target_with memory:32MiB memory:32MiB,block=4096
connect -i 4 > /dev/null
for n in 1:512 2:4096; do
	d=$(disk ${n%:*})
	eq "size of $d" "$(blockdev --getsize64 $d)" 33554432
	eq "block size of $d" "$(blockdev --getss $d)" ${n#*:}
	verify $d --bsrange=4k-64k
	verify $d --bs=${n#*:} --size=256k
done
