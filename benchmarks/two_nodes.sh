#!/usr/bin/env bash
# A training on two machines that are network namespaces of this one: each sees its own network card alone, and torchrun's
# rendezvous joins them. Needs root and `ip`; everything after the script's name goes to `train.py fit`.
#
#     sudo bash benchmarks/two_nodes.sh --config configs/quickstart.yaml --trainer.max_epochs 1
set -euo pipefail
cd "$(dirname "$0")/.."
processes="${PROCESSES:-1}" # a machine's

cleanup() {
  for n in 0 1; do ip netns delete "machine$n" 2>/dev/null || true; done
}
trap cleanup EXIT
cleanup
for n in 0 1; do ip netns add "machine$n"; done
ip link add card0 netns machine0 type veth peer name card1 netns machine1
for n in 0 1; do
  ip -n "machine$n" address add "10.77.0.$((n + 1))/24" dev "card$n"
  ip -n "machine$n" link set "card$n" up
  ip -n "machine$n" link set lo up
done

run() {
  ip netns exec "machine$1" env "GLOO_SOCKET_IFNAME=card$1" "OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}" \
    TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 \
    python -m torch.distributed.run --nnodes 2 --nproc_per_node "$processes" --local-addr "10.77.0.$(($1 + 1))" \
    --rdzv-backend c10d --rdzv-endpoint 10.77.0.1:29500 --rdzv-id two_nodes --rdzv-conf "is_host=$((1 - $1))" \
    train.py fit --trainer.accelerator cpu --trainer.num_nodes 2 --trainer.devices "$processes" --trainer.strategy ddp \
    "${@:2}" 2> >(sed "s/^/machine $1: /" >&2)
}

run 0 "$@" &
first=$!
run 1 "$@" || echo "machine 1 ended with $?" >&2
wait "$first"
