# SPDX-License-Identifier: BSD-3-Clause
# an SSD through io_uring passthrough: the backend conformance suite, 512, 4096, and with protection information
# timeout: 900
[ -x /host/bin/conformance_data ] || skip "the conformance suite is not built"
inner_programs
failed=
for device in 512:$(ssd 3) 4096:$(ssd 4) 4096:$(ssd 7); do
	for area in data zeroes compare model control inject threads; do
		# What protection information changes is in the way of data.
		case $device:$area in *n7:control | *n7:inject | *n7:threads) continue ;; esac
		if ! NVMFT_TEST_NVME=$device LD_LIBRARY_PATH=/tmp/bin /tmp/bin/conformance_$area > conf.out 2>&1; then
			failed="$failed $area-$device"
			grep -vE '^\[ +(RUN|OK) ' conf.out | head -n 40
		fi
		echo "$device $area: $(grep -E '^\[ +PASSED' conf.out)"
	done
done
[ -z "$failed" ] || fail "$failed"
