#!/usr/bin/env bash
# Fine-tuning of RecLM-ret: scripts/train_RecLM_ret.sh NAME [flags of main.py].
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python)}

if [[ $# -lt 1 || ! $1 =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]*$ ]]; then
    echo "error: usage: scripts/train_RecLM_ret.sh NAME [flags of main.py], such as: scripts/train_RecLM_ret.sh movies" >&2
    exit 2
fi
exec "$PYTHON" main.py --train_stage SFT_Embedding --data_path "data/dataset/$1/" --output "snap/$1/ret" "${@:2}"
