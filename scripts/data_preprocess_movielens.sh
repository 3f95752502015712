#!/usr/bin/env bash
# MovieLens-100K in RAW_PATH -> dataset folder and UniRec files. Extra arguments are passed to the preprocessing.
# SPLIT=temporal splits by time instead of leave-one-out and writes a separate dataset, ml-100k-temporal.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python)}

SPLIT="${SPLIT:-leave-one-out}"
NAME="ml-100k"
if [[ $SPLIT != leave-one-out ]]; then NAME="$NAME-$SPLIT"; fi
TOKENIZER_PATH="${TOKENIZER_PATH:-snap/base/SmolLM2-135M-Instruct}"
RAW_PATH="${RAW_PATH:-data/raw/ml-100k/}"
DATA_PATH="${DATA_PATH:-data/dataset/$NAME/}"
UNIREC_DATA_PATH="${UNIREC_DATA_PATH:-unirec/data/$NAME/}"
UNIREC_CONFIG_PATH="${UNIREC_CONFIG_PATH:-unirec/config/dataset/$NAME.yaml}"

"$PYTHON" preprocess/data_preprocess_movielens.py \
    --tokenizer_path "$TOKENIZER_PATH" \
    --raw_path "$RAW_PATH" \
    --data_path "$DATA_PATH" \
    --split "$SPLIT" \
    "$@"
"$PYTHON" preprocess/transform2unirec.py \
    --data_path "$DATA_PATH" \
    --unirec_data_path "$UNIREC_DATA_PATH" \
    --unirec_config_path "$UNIREC_CONFIG_PATH"
