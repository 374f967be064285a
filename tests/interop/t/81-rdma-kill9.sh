# SPDX-License-Identifier: BSD-3-Clause
# NVMe/RDMA: kill -9 and restart under verified I/O; then a target that is silent until the host gives it up
# timeout: 240
kernel_may_say 'timeout|failed|Connect rejected'
rdma_link 1
random_file disk.img 16777216
rdma_target --namespace file:$PWD/disk.img
rdma_connect -k 5 -i 2
D=$(disk 1)
C=$(controllers $NQN)

say kill -9
verify_start $D --time_based --runtime=16
for pause in 2.3 1.1; do
	sleep $pause
	inner_kill9
	within 10 "noticed" not_live $C
	rdma_target --namespace file:$PWD/disk.img
	within 30 "live again" live $C
done
verify_wait

say silence
verify_start $D --time_based --runtime=20
kill -STOP $INNER
within 40 "the host has noticed" not_live $C
kill -CONT $INNER
within 40 "live again" live $C
verify_wait
nvme disconnect -n $NQN
inner_end
