#!/usr/bin/env bash
# Check vLLM with the plugin against our engine: scripts/vllm_check.sh NAME[,NAME] MODEL [PORT] [flags of check_vllm.py]
# Starts the server in float32, without and with jump forward, sends 64 requests at once in all domains, and compares the
# tokens. Ends with status 0 if all are equal, no rule is broken, and bad requests are refused.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -lt 2 ]; then
    echo "error: usage: scripts/vllm_check.sh NAME[,NAME] MODEL [PORT] [flags of benchmarks/check_vllm.py]" >&2
    exit 2
fi
names=$1 model=$2 port=8000
shift 2
if [[ ${1:-} =~ ^[1-9][0-9]{0,4}$ ]]; then port=$1; shift; fi
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python)}
root=${DATA_ROOT:-data/dataset}
folders=""
for name in ${names//,/ }; do folders+="${folders:+,}$root/$name"; done

ready=$(mktemp)
server=""
stop() { [ -z "$server" ] || { kill "$server" 2> /dev/null || true; wait "$server" 2> /dev/null || true; server=""; }; }
trap 'stop; rm -f "$ready"' EXIT
for jump in "" "--jump_forward 8"; do
    echo "checking ${jump:-without jump forward}" >&2
    : > "$ready"
    # shellcheck disable=SC2086  # a flag and its value
    VLLM_READY_FILE=$ready bash scripts/vllm_serve.sh "$names" "$model" "$port" --require_catalog $jump --dtype float32 \
        --max-model-len 2048 --max-num-seqs 16 --enforce-eager > vllm_check.log 2>&1 &
    server=$!
    until [ -s "$ready" ]; do
        kill -0 "$server" 2> /dev/null || { tail -5 vllm_check.log >&2; echo "error: the server did not start; vllm_check.log has its output" >&2; exit 2; }
        read -rt 1 <> <(:) || true
    done
    "$PYTHON" benchmarks/check_vllm.py --url "http://127.0.0.1:$port" --model "$model" --data "$folders" "$@"
    stop
done
rm -f vllm_check.log
