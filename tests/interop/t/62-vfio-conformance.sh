# SPDX-License-Identifier: BSD-3-Clause
# the VFIO backend: the backend conformance suite, 512 and 4096, with protection information of both kinds
# timeout: 1800
# iommu
[ -x /host/bin/conformance_data ] || skip "the conformance suite is not built"
pci=$(pci NVMFT-VFIO)
vfio_bind $pci
failed=
for device in 512:$pci/7 4096:$pci/8 512:$pci/4 4096:$pci/5; do
	for area in data zeroes compare model control inject threads; do
		# The first in full, of the others what they change. QEMU leaves protection information of 16 bits as it was when
		# less than a block of the host's file system is deallocated, and then finds it wrong.
		case $device:$area in
			*/7:* | */8:zeroes | */4:compare | */5:data) ;;
			*) continue ;;
		esac
		if ! NVMFT_TEST_VFIO=$device LD_LIBRARY_PATH=/tmp/bin /tmp/bin/conformance_$area > conf.out 2>&1; then
			failed="$failed $area-$device"
			grep -vE '^\[ +(RUN|OK) ' conf.out | head -n 40
		fi
		echo "$device $area: $(grep -E '^\[ +PASSED' conf.out)"
	done
done
[ -z "$failed" ] || fail "$failed"
no_dma_fault
