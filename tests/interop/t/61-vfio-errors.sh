# SPDX-License-Identifier: BSD-3-Clause
# the VFIO backend: what is missing is named: permission, lockable memory, a group of one's own; memory is locked once
# timeout: 300
# iommu
kernel_may_say 'I/O [Ee]rror|unable to read'
one=$(pci NVMFT-VFIO) a=$(pci NVMFT-FUN0) b=$(pci NVMFT-FUN1)
inner_programs
group() { basename "$(readlink "/sys/bus/pci/devices/$1/iommu_group")"; }
# no_target MESSAGE NAMESPACE [COMMAND THAT RUNS THE TARGET...]
no_target() {
	local message=$1 namespace=$2
	shift 2
	refused "$namespace" timeout 30 env LD_LIBRARY_PATH=/tmp/bin "$@" /tmp/bin/nvmft-target --namespace "$namespace"
	has "the reason" "$REFUSAL" "$message"
}
nobody="/usr/bin/setpriv --reuid 65534 --regid 65534 --clear-groups"
# locked: bytes that the target has locked in memory for devices
locked() { awk '$1 == "VmLck:" || $1 == "VmPin:" { n += $2 } END { print n * 1024 }' /proc/$INNER/status; }

say "two functions in a group: one of them alone is not given away"
eq "group of the second function" $(group $b) $(group $a)
refused "binding only one" /tmp/bin/nvme-devices --bind $a
has "refusal" "$REFUSAL" "IOMMU group $(group $a) also has $b, which the kernel uses"
modprobe -a vfio-pci vfio_iommu_type1
echo vfio-pci > /sys/bus/pci/devices/$a/driver_override
echo $a > /sys/bus/pci/devices/$a/driver/unbind
echo $a > /sys/bus/pci/drivers_probe
no_target "IOMMU group $(group $a) also has $b, which is held by the driver nvme" vfio:$a/1,iommu=type1

say "both of them are"
/tmp/bin/nvme-devices --bind $a $b > commands
sh -e commands
vfio_bind $one
[ -e /dev/iommu ] || no_target "has no character device" vfio:$a/1,iommu=iommufd
inner_target --namespace vfio:$one/1
inner_connect
verify $(disk 1) --size=2m
before=$(locked)
nvme disconnect -n $NQN
inner_end
inner_target --namespace vfio:$one/1 --namespace vfio:$a/1 --namespace vfio:$b/1
inner_connect
verify_all $(disk 1) $(disk 2) $(disk 3) -- --size=2m
after=$(locked)
say "locked in memory: $before for one device, $after for three"
ge "memory that one device needs" $before 2097152
ge "the same for three, and their queues" $((before + 2 * 1048576)) $after

say "in use by another program"
no_target "IOMMU group $(group $one) is in use by another program" vfio:$one/1,iommu=type1
nvme disconnect -n $NQN
inner_end

say "without permission"
no_target "no permission for /dev/vfio/$(group $one)" vfio:$one/1,iommu=type1 $nobody
chown 65534 /dev/vfio/$(group $one)
say "with it, but without memory that may be locked"
ulimit -l 256
(ulimit -l 8 && no_target "bytes cannot be locked in memory for devices, .*RLIMIT_MEMLOCK is 8192 bytes" vfio:$one/1,iommu=type1 $nobody)
say "enough for the controller, but not for the queues and data of a thread"
: > inner.log # the log of the target before also says that it is ready
LD_LIBRARY_PATH=/tmp/bin $nobody /tmp/bin/nvmft-target --listen tcp:127.0.0.1:$PORT --subsystem $NQN \
	--namespace vfio:$one/1,iommu=type1 >> inner.log 2>&1 &
INNER=$!
within 20 "the target serves" grep -qx ready inner.log
inner_connect -i 1
within 20 "the log tells" grep -q "bytes cannot be locked in memory for devices, .*RLIMIT_MEMLOCK is 262144 bytes" inner.log
sleep 1
eq "times that it tells" "$(grep -c RLIMIT_MEMLOCK inner.log)" 1
nvme disconnect -n $NQN
inner_end
no_dma_fault
