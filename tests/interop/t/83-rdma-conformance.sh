# SPDX-License-Identifier: BSD-3-Clause
# NVMe/RDMA by a host of our own: the conformance suite, over one keyed block, several, and keys to be invalidated
# timeout: 900
[ -x /host/bin/conformance_data ] || skip "the conformance suite is not built"
inner_programs
rdma_link 1
failed=
for transport in rdma rdma-pieces rdma-invalidate; do
	for area in data zeroes compare model control inject threads lend; do
		# The first in full, of the others what they change.
		case $transport:$area in rdma:* | *:data | *:threads) ;; *) continue ;; esac
		if ! CONF_OPS=100 TH_RDMA_ADDR=$R1 TH_TRANSPORT=$transport LD_LIBRARY_PATH=/tmp/bin \
			/tmp/bin/conformance_$area > conf.out 2>&1
		then
			failed="$failed $area-$transport"
			grep -vE '^\[ +(RUN|OK) ' conf.out | head -n 40
		fi
		echo "$transport $area: $(grep -E '^\[ +PASSED' conf.out | tr '\n' ' ')"
	done
done
[ -z "$failed" ] || fail "$failed"
