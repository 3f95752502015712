#!/usr/bin/env bash
# Serve a merged model by vLLM with its catalogs: scripts/vllm_serve.sh NAME MODEL [PORT] [flags]
# NAME is a dataset in data/dataset (DATA_ROOT), or several separated by commas. The script makes the environment, starts
# the server with the plugin, says when it is ready, and ends with it. Flags:
#   --require_catalog   refuse requests without a catalog
#   --jump_forward N    let the trie propose up to N tokens that must follow
# Lists of models with one token per item are ranked by the log-probabilities of up to 2,048 items (--max-logprobs).
# All other flags are vLLM's (--dtype float32, --max-num-seqs 64, --tensor-parallel-size 2). VLLM_PYTHON is the Python of
# an environment with vllm 0.32 and the plugin, such as one for GPUs; without it .venv-vllm is made, for CPUs.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/dataset_name.sh
source scripts/catalogs.sh

served_arguments 8000 "$@"
set -- ${rest[@]+"${rest[@]}"}

flags=()
while [ $# -gt 0 ]; do
    case $1 in
        --require_catalog) export RECLM_REQUIRE_CATALOG=1 ;;
        --jump_forward)
            [[ ${2:-} =~ ^[1-9][0-9]?$ ]] || fail "--jump_forward is '${2:-}', wanted a number of tokens from 1 to 99"
            flags+=(--speculative-config "{\"method\": \"custom_class\", \"model\": \"train_utils.engines.vllm_jump_forward.GrammarProposer\", \"num_speculative_tokens\": $2}")
            shift
            ;;
        *) flags+=("$1") ;;
    esac
    shift
done

if [ -z "${VLLM_PYTHON:-}" ]; then
    bash scripts/vllm_env.sh
    python=.venv-vllm/bin/python
else
    python=$VLLM_PYTHON
fi
# vLLM only logs a plugin that cannot be imported.
"$python" -c 'from importlib.metadata import entry_points; entry_points(group="vllm.general_plugins")["reclm"].load()' 2> /dev/null ||
    fail "the plugin is not in the environment of $python; install it there: VLLM_PYTHON=$python scripts/vllm_env.sh"
[[ -z ${VLLM_PLUGINS+set} || ,$VLLM_PLUGINS, == *,reclm,* ]] || fail "VLLM_PLUGINS is '$VLLM_PLUGINS' and leaves the plugin out; add reclm"
# Another server on this port would look ready before ours fails to bind it.
if (: < "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then fail "port $port is taken by another server; choose another port"; fi

export VLLM_NO_USAGE_STATS=1 HF_HUB_OFFLINE=1
# On CPUs: GiB of the cache, and no thread that waits for the core of another.
export VLLM_CPU_KVCACHE_SPACE=${VLLM_CPU_KVCACHE_SPACE:-2} VLLM_CPU_OMP_THREADS_BIND=${VLLM_CPU_OMP_THREADS_BIND:-nobind}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
"$python" -m vllm.entrypoints.openai.api_server --model "$model" --served-model-name reclm --host 127.0.0.1 \
    --port "$port" --max-logprobs 2048 ${flags[@]+"${flags[@]}"} &
server=$!
trap 'kill "$server" 2> /dev/null || true; wait "$server" 2> /dev/null || true' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

# Ignore the proxies of the environment: both processes are on this machine.
healthy() {
    "$python" -c 'import sys, urllib.request as u; u.build_opener(u.ProxyHandler({})).open(sys.argv[1], timeout=2)' \
        "http://127.0.0.1:$port/health" 2> /dev/null
}
SECONDS=0
until healthy; do
    kill -0 "$server" 2> /dev/null || fail "vLLM did not start; its reason is above"
    [ "$SECONDS" -lt "${VLLM_WAIT:-900}" ] || fail "vLLM is not ready after $SECONDS s; a longer wait: VLLM_WAIT=1800"
    read -rt 1 <> <(:) || true
done
echo "serving $model with the catalogs $RECLM_CATALOGS at http://127.0.0.1:$port" >&2
[ -z "${VLLM_READY_FILE:-}" ] || echo "$port" > "$VLLM_READY_FILE"
wait "$server"
