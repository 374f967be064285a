# SPDX-License-Identifier: BSD-3-Clause
# docs/nvme-ssds.md followed word for word: the commands of its sh blocks, with the names of its examples replaced
# timeout: 300
# iommu
kernel_may_say 'timeout|failed'
HOWTO=nqn.2024-01.com.example:ssd
pci=$(pci NVMFT-VFIO) ng=$(ssd 1)
group=$(basename "$(readlink /sys/bus/pci/devices/$pci/iommu_group)")
inner_programs
mkdir scripts
cp /tmp/bin/nvme-devices scripts/
export PATH=/tmp/bin:$PATH LD_LIBRARY_PATH=/tmp/bin
how_to nvme-ssds.md |
	sed "s,0000:01:00\.0,$pci,g; s,/dev/ng0n1,$ng,g; s,/dev/vfio/14,/dev/vfio/$group,g; s,192\.0\.2\.1,127.0.0.1,g" > commands.txt
ge "commands in the how-to" "$(grep -c . commands.txt)" 15
eq "commands that serve" "$(grep -c 'nvmft-target' commands.txt)" 3

served=''
serve() { # what stays in the foreground of a terminal of its own
	: > inner.log
	eval "exec $1" >> inner.log 2>&1 &
	served=$!
	within 20 "it is ready" grep -qx ready inner.log
}
end_service() {
	[ -n "$served" ] || return 0
	kill $served
	wait $served || fail "the target ended with status $?: $(cat inner.log)"
	served=''
}
while IFS= read -r command <&9; do
	say "$command"
	case $command in
		*nvmft-target*) end_service; serve "$command" ;;
		*--back*) end_service; eval "$command"; eq "driver" "$(driver_of $pci)" nvme ;;
		*--bind*) end_service; eval "$command"; eq "driver" "$(driver_of $pci)" vfio-pci ;;
		'nvme connect'*) eval "$command"; verify $(disk 1 $HOWTO) --size=2m ;;
		*) eval "$command" ;;
	esac
done 9< commands.txt
end_service
kernel_disk NVMFT-VFIO 1
no_dma_fault
