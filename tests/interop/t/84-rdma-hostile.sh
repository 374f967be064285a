# SPDX-License-Identifier: BSD-3-Clause
# NVMe/RDMA: hosts that break the rules, in private data, capsules and SGLs, or are gone in the middle of something
# timeout: 600
[ -x /host/bin/rdma_connect ] || skip "the tests are not built"
inner_programs
rdma_link 1
failed=
for area in connect capsule sgl end; do
	if ! TH_RDMA_ADDR=$R1 LD_LIBRARY_PATH=/tmp/bin /tmp/bin/rdma_$area > rdma.out 2>&1; then
		failed="$failed $area"
		grep -vE '^\[ +(RUN|OK) ' rdma.out | head -n 60
	fi
	echo "$area: $(grep -E '^\[ +PASSED' rdma.out)"
done
[ -z "$failed" ] || fail "$failed"
