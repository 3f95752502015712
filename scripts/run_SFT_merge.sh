#!/usr/bin/env bash
# Merge the newest adapter of a run into its backbone: scripts/run_SFT_merge.sh [NAME] [flags of main.py]
# snap/NAME/cgen/Epoch<n>_SFT becomes snap/NAME/cgen/SFT_Epoch<n>/; for RecLM-ret add --output snap/NAME/ret.
# BACKBONE, if set, replaces the base model that the adapter names.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python)}

source scripts/dataset_name.sh

if ! NAME=$(dataset_name "${1:-ml-100k}"); then
    echo "error: usage: scripts/run_SFT_merge.sh NAME [flags of main.py], NAME being a folder of data/dataset/" >&2
    exit 2
fi
exec "$PYTHON" main.py --train_stage SFT_Merge --data_path "data/dataset/$NAME/" --output "snap/$NAME/cgen" \
    ${BACKBONE:+--backbone "$BACKBONE"} "${@:2}"
