# SPDX-License-Identifier: BSD-3-Clause
# NVMe/RDMA multipath over two devices and TCP under verified I/O: a device or its link is removed and comes back, TCP goes silent
# timeout: 240
kernel_may_say 'timeout|failed|Connect rejected|I/O error|unable|Property Set error'
# A host whose link is gone asks for leave to shut down, in vain, for so many seconds. The usual 60 teach no more.
ADMIN=/sys/module/nvme_core/parameters/admin_timeout
modprobe nvme-core
echo 6 > $ADMIN
trap "echo 60 > $ADMIN" EXIT
rdma_link 1
rdma_link 2
ip link add rd3 type dummy
ip addr add 10.9.3.1/24 dev rd3
ip link set rd3 up
rdma_target --listen tcp:10.9.3.1:$PORT --namespace memory:16MiB
listens_again() { [ "$(grep -c 'listening again' inner.log)" = $1 ]; }
no_path() { [ -z "$(controllers $NQN $1)" ]; }
no_device() { ! [ -e /sys/class/infiniband/$1 ]; }

say two RDMA devices, one is removed
rdma_connect -i 2 -k 5
rdma_connect -a $R2 -i 2 -k 5
D=$(disk 1)
eq controllers "$(controllers $NQN | wc -l)" 2
verify_start $D --time_based --runtime=6
rdma link del rxe1
verify_wait
has log "$(cat inner.log)" 'not listening for now: the RDMA device is gone'
eq "paths left" "$(controllers $NQN | wc -l)" 1

say it comes back
rdma_link 1
within 10 "the target listens" listens_again 1
rdma_connect -i 2 -k 5
verify $D --size=1m

say the link of the other one is removed
verify_start $D --time_based --runtime=6
ip link del rd2
verify_wait
within 30 "the path is gone" no_path $R2
within 30 "the device is gone" no_device rxe2
eq "paths left" "$(controllers $NQN | wc -l)" 1
verify $D --size=1m

say "RDMA and TCP: RDMA is lost"
connect -a 10.9.3.1 -i 2 -k 5 > /dev/null
verify_start $D --time_based --runtime=6
rdma link del rxe1
verify_wait
eq "paths left" "$(controllers $NQN | wc -l)" 1
rdma_link 1
within 10 "the target listens" listens_again 2
rdma_connect -i 2 -k 5

say TCP goes silent
verify_start $D --time_based --runtime=14
ip addr del 10.9.3.1/24 dev rd3
within 20 "the TCP path is lost" not_live "$(controllers $NQN 10.9.3.1)"
verify_wait
nvme disconnect -n $NQN
inner_end
