# SPDX-License-Identifier: BSD-3-Clause
# NVMe/RDMA: instructions and system calls of the target per 4 KiB read of a null namespace, by single steps
# timeout: 200
# by hand
# one processor
[ -x /host/bin/count_steps ] && [ -x /host/bin/tcp_target ] || skip "the bench is not built"
BENCH=nqn.2014-08.org.nvmexpress:bench
rdma_link 1
inner_programs
export LD_LIBRARY_PATH=/tmp/bin

# count DEPTH: leaves instructions of the library per I/O in $PER_IO
count() {
	local d fio f
	/tmp/bin/count_steps -p $1.steps -l libnvmft run /tmp/bin/tcp_target null rdma:$R1 > rdma.out 2> rdma.err &
	INNER=$!
	within 30 "a target" grep -qE '^[0-9]+$' rdma.out
	PORT=$(head -n 1 rdma.out) rdma_connect -n $BENCH -i 1 -k 120 > /dev/null
	d=$(disk 1 $BENCH)
	f="--name=f --filename=$d --ioengine=io_uring --direct=1 --rw=randread --bs=4k --iodepth=$1 --norandommap --gtod_reduce=1"
	fio $f --time_based --runtime=600 > fio.out 2>&1 &
	fio=$!
	sleep 2
	pkill -USR1 -P $INNER tcp_target
	within 60 "the count" grep -q counted rdma.out
	kill $fio
	wait $fio || :
	nvme disconnect -n $BENCH > /dev/null
	pkill -TERM -P $INNER tcp_target
	wait $INNER || fail "the target ended with status $?: $(cat rdma.err)"
	cat rdma.out
	n=$(sed -n 2p rdma.out | jq .counted)
	ge "I/Os counted" $n 20
	PER_IO=$(($(tail -n 1 rdma.out | jq .library) / n))
	tail -n 1 rdma.out | jq -r --argjson n $n \
		'"depth '$1': \(.library / $n | round) instructions of the library, \(.instructions / $n | round) with those that it calls, \(.syscalls / $n * 100 | round / 100) system calls per I/O"'
	cp $1.steps /host/log/72-rdma-instructions.steps.$1
}
count 32
count 1
