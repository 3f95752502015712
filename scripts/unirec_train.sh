#!/usr/bin/env bash
# Train the teacher of one dataset: scripts/unirec_train.sh NAME [flags of unirec/train.py]
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python)}
# Waiting threads sleep instead of spinning: on cores shared with other jobs, spinning takes up to 20 times as long.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}

source scripts/dataset_name.sh

if ! name=$(dataset_name "${1:-}"); then
    echo "error: usage: scripts/unirec_train.sh NAME [flags], NAME being a folder of data/dataset/" >&2
    exit 2
fi
shift

# Write the teacher's files if one is missing, or if the dataset has changed since they were written.
made=unirec/data/$name
complete=1
[[ ! -e $made/preprocessing.unfinished ]] || complete=0
for file in train valid test user_history map; do
    [[ -f $made/$file.pkl ]] || complete=0
done
[[ -f $made/category.jsonl || -f unirec/config/dataset/$name.yaml ]] || complete=0
for file in "data/dataset/$name"/{meta,metas,category,sequential}.{json,jsonl,pickle,pkl} "data/dataset/$name/test_users.json"; do
    if [[ $complete == 1 && $file -nt $made/map.pkl ]]; then
        echo "note: $file is newer than $made, which is made again" >&2
        complete=0
    fi
done
if [[ $complete == 0 ]]; then
    if [[ ! -d data/dataset/$name ]]; then
        echo "error: there is no dataset $name: neither data/dataset/$name nor unirec/data/$name holds its files" >&2
        exit 2
    fi
    "$PYTHON" preprocess/transform2unirec.py --data_path "data/dataset/$name/" \
        --unirec_data_path "$made" --unirec_config_path "unirec/config/dataset/$name.yaml"
fi
exec "$PYTHON" unirec/train.py --dataset "$name" "$@"
