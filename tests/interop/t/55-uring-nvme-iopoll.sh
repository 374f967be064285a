# SPDX-License-Identifier: BSD-3-Clause
# an SSD through io_uring passthrough, by polling its queues
modprobe -r nvme || :
modprobe nvme poll_queues=2
inner_target --namespace nvme:$(ssd 1),iopoll --namespace nvme:$(ssd 2),iopoll
inner_connect -i 2
verify $(disk 1) --size=4m
verify $(disk 2) --size=4m
inner_end
for c in $(controllers $NQN); do echo 1 > /sys/class/nvme/$c/delete_controller; done
modprobe -r nvme || :
