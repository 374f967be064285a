# SPDX-License-Identifier: BSD-3-Clause
# NVMe/RDMA multipath: one of two RDMA devices is removed under verified I/O and comes back; one leg RDMA, one TCP
# timeout: 400
# by hand
kernel_may_say 'timeout|failed|Connect rejected|I/O error|unable|Property Set error'
rdma_link 1
rdma_link 2
ip link add rd3 type dummy
ip addr add 10.9.3.1/24 dev rd3
ip link set rd3 up
rdma_target --listen tcp:10.9.3.1:$PORT --namespace memory:16MiB
rdma_connect -i 2 -k 5
rdma_connect -a $R2 -i 2 -k 5
D=$(disk 1)
eq controllers "$(controllers $NQN | wc -l)" 2
listens_again() { [ "$(grep -c 'listening again' inner.log)" = $1 ]; }

say one device is removed
verify_start $D --time_based --runtime=12
rdma link del rxe1
verify_wait
has log "$(cat inner.log)" 'not listening for now: the RDMA device is gone'
eq "paths left" "$(controllers $NQN | wc -l)" 1
verify $D --size=1m

say it comes back
rdma_link 1
within 10 "the target listens" listens_again 1
rdma_connect -i 2 -k 5
verify $D --size=1m
nvme disconnect -n $NQN

say "RDMA and TCP: the link is removed. Its host asks in vain for a minute for leave to shut down."
rdma_connect -i 2 -k 5
connect -a 10.9.3.1 -i 2 -k 5
D=$(disk 1)
verify_start $D --time_based --runtime=12
ip link del rd1
verify_wait
rdma_link 1
within 10 "the target listens" listens_again 2
rdma_connect -i 2 -k 5

say the TCP path goes silent
verify_start $D --time_based --runtime=20
ip addr del 10.9.3.1/24 dev rd3
within 20 "the TCP path is lost" not_live "$(controllers $NQN 10.9.3.1)"
verify_wait
nvme disconnect -n $NQN
inner_end
