# SPDX-License-Identifier: BSD-3-Clause
# docs/rdma.md followed word for word: the commands of its sh blocks, with the names of its examples replaced
# timeout: 200
HOWTO=nqn.2024-01.com.example:rdma
ip link add rd1 type dummy
ip addr add 10.9.1.1/24 dev rd1
ip link set rd1 up
inner_programs
export PATH=/tmp/bin:$PATH LD_LIBRARY_PATH=/tmp/bin
how_to rdma.md | sed 's,eth1,rd1,g; s,192\.0\.2\.1,10.9.1.1,g' > commands.txt
ge "commands in the how-to" "$(grep -c . commands.txt)" 12
eq "commands that serve" "$(grep -c 'nvmft-target' commands.txt)" 1

two_live() { [ "$(for c in $(controllers $HOWTO); do live "$c" && echo "$c"; done | wc -l)" = 2 ]; }
while IFS= read -r command <&9; do
	say "$command"
	case $command in
		*nvmft-target*)
			eval "exec $command" > inner.log 2>&1 &
			served=$!
			within 20 "it is ready" grep -qx ready inner.log
			;;
		*discover*) has "discovered" "$(eval "$command")" "$HOWTO" ;;
		*'-t rdma'*) eval "$command"; verify $(disk 1 $HOWTO) --size=2m ;;
		*'-t tcp'*)
			eval "$command"
			within 10 "two live paths" two_live
			verify $(disk 1 $HOWTO) --size=2m
			;;
		*) eval "$command" ;;
	esac
done 9< commands.txt
kill $served
wait $served || fail "the target ended with status $?: $(cat inner.log)"
