# SPDX-License-Identifier: BSD-3-Clause
# a namespace is removed under I/O: its I/O fails, its neighbour's goes on
kernel_may_say 'I/O (E|e)rror|Invalid (Field|Namespace)'
host run truncate -s 16M a.img b.img
conf_new
conf_file 1 a.img
conf_file 2 b.img
target --config target.json
connect -i 4 > /dev/null
c=$(controllers $NQN)
b=$(disk 2)
verify_start $(disk 1) --time_based --runtime=8
fio --name=doomed --filename=$b --ioengine=io_uring --direct=1 --rw=randrw --bs=4k --size=8m \
	--iodepth=32 --time_based --runtime=30 > doomed.out 2>&1 &
doomed=$!
sleep 2
conf_without 2
host reload
within 10 "it is gone" no_disk 2
rc=0
wait $doomed || rc=$?
[ $rc != 0 ] || fail "I/O to a removed namespace went on without an error"
verify_wait
within 1 "the controller is live" live $c
hasnt "kernel log" "$(dmesg)" "reconnect|resetting"

say "under I/O again, twice"
for i in 1 2; do
	conf_file 2 b.img
	host reload
	within 10 "it is back" find_disk 2 $NQN
	fio --name=doomed --filename=$(disk 2) --ioengine=io_uring --direct=1 --rw=randwrite --bs=64k \
		--size=8m --iodepth=32 --time_based --runtime=30 > doomed.out 2>&1 &
	doomed=$!
	sleep 1
	conf_without 2
	host reload
	within 10 "it is gone" no_disk 2
	! wait $doomed || fail "no error"
done
