# SPDX-License-Identifier: BSD-3-Clause
# NVMe/RDMA over soft-RoCE: discovery, 1 and 4 queues, verified I/O of all sizes, reset, disconnect
# timeout: 240
rdma_link 1
rdma_target --namespace memory:64MiB

say discovery
LOG=$(nvme discover -t rdma -a $R1 -s $PORT -o json)
eq entries "$(echo "$LOG" | jq '.records | length')" 2
has log "$LOG" '"trtype" *: *"rdma"'
has log "$LOG" "$NQN"
has log "$LOG" '"rdma_qptype" *: *"connected"'

say one queue
rdma_connect -i 1
D=$(disk 1)
C=$(controllers $NQN)
eq queues "$(attr $C queue_count)" 2
verify $D
nvme disconnect -n $NQN
within 10 "the disk is gone" no_disk 1

say four queues
rdma_connect -i 4
D=$(disk 1)
C=$(controllers $NQN)
eq queues "$(attr $C queue_count)" 5
verify $D --numjobs=1 --iodepth=32
say in-capsule and keyed, up to 1 MiB
verify $D --bs=512 --size=256k --iodepth=8
for bs in 4k 8k 16k 128k 1m; do
	verify $D --bs=$bs --size=4m --iodepth=8
done

say reset
nvme reset /dev/$C
within 10 "live again" live $C
verify $D --size=2m
nvme disconnect -n $NQN
within 10 "the disk is gone" no_disk 1
inner_end
