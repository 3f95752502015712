#!/usr/bin/env bash
# Train the teacher of one dataset: scripts/unirec_train.sh NAME [flags of unirec/train.py]
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python)}
# Waiting threads sleep instead of spinning: on cores shared with other jobs spinning costs up to 20 times the time.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}

name=${1:-}
if [[ ! $name =~ ^[A-Za-z0-9_.-]+$ || $name == .* ]]; then
    echo "error: usage: scripts/unirec_train.sh NAME [flags], NAME being a folder of data/dataset/" >&2
    exit 2
fi
shift

complete=1
for file in train valid test user_history map; do
    [[ -f unirec/data/$name/$file.pkl ]] || complete=0
done
if [[ $complete == 0 ]]; then
    if [[ ! -d data/dataset/$name ]]; then
        echo "error: there is no dataset $name: neither data/dataset/$name nor unirec/data/$name holds its files" >&2
        exit 2
    fi
    "$PYTHON" preprocess/transform2unirec.py --data_path "data/dataset/$name/" \
        --unirec_data_path "unirec/data/$name" --unirec_config_path "unirec/config/dataset/$name.yaml"
fi
exec "$PYTHON" unirec/train.py --dataset "$name" "$@"
