# SPDX-License-Identifier: BSD-3-Clause
# connect-all: one controller per subsystem and address; disconnect by NQN
host run truncate -s 16M a.img b.img
conf_new
conf_file 1 a.img
conf_subsystem $NQN-2
conf_file 1 b.img 1
target --config target.json

nvme connect-all -t tcp -a $A1 -s $PORT -k 10 --ctrl-loss-tmo=60 -i 1
for n in $NQN $NQN-2; do
	for a in $A1 $A2; do
		c=$(controllers $n $a)
		eq "controllers of $n at $a" "$(echo $c | wc -w)" 1
		within 5 "$c is live" live $c
		eq "transport of $c" "$(attr $c transport)" tcp
	done
	d=$(disk 1 $n)
	eq "size of $n" "$(blockdev --getsize64 $d)" 16777216
done
[ "$(attr $(controllers $NQN $A1) cntlid)" != "$(attr $(controllers $NQN $A2) cntlid)" ] || fail "same controller identifier twice"

say "different content, so that each disk is the right one"
random_file a 65536; random_file b 65536
dd if=a of=$(disk 1 $NQN) bs=64k oflag=direct 2> /dev/null
dd if=b of=$(disk 1 $NQN-2) bs=64k oflag=direct 2> /dev/null
cmp -n 65536 a /host/a.img
cmp -n 65536 b /host/b.img

nvme disconnect -n $NQN > out
has "disconnect" "$(cat out)" "disconnected 2 controller"
eq "controllers left" "$(controllers $NQN | wc -l)" 0
eq "controllers of the other" "$(controllers $NQN-2 | wc -l)" 2
