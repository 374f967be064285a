# SPDX-License-Identifier: BSD-3-Clause
# connect with 1 and 4 I/O queues, separate write and poll queues, SQ flow control off
target_with memory:16MiB
queues() { # queues WANTED OPTIONS: as many I/O queues as asked for, and they carry verified I/O
	n=$1; shift
	say "$n I/O queues: $*"
	connect "$@" > /dev/null
	c=$(controllers $NQN)
	within 5 "$c is live" live $c
	eq queue_count "$(attr $c queue_count)" $((n + 1))
	verify "$(disk 1)" --numjobs=2 --offset_increment=4m --size=1m --group_reporting
	nvme disconnect -n $NQN > /dev/null
}
queues 1 -i 1
queues 4 -i 4
queues 4 -i 2 -W 1 -P 1
queues 2 -i 2 --disable-sqflow
queues 1 -i 1 -Q 16
