#!/usr/bin/env bash
# Amazon Reviews 2018 (X_5.json.gz and meta_X.json.gz in RAW_PATH, else DATA_PATH) -> dataset folder and UniRec files.
# Extra arguments are passed to the preprocessing, e.g. --users 0 --keep last.
# SPLIT=temporal splits by time instead of leave-one-out and writes a separate dataset, movies-temporal.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python)}

SPLIT="${SPLIT:-leave-one-out}"
DEFAULT_NAME="movies"
if [[ $SPLIT != leave-one-out ]]; then DEFAULT_NAME="$DEFAULT_NAME-$SPLIT"; fi
TOKENIZER_PATH="${TOKENIZER_PATH:-snap/base/SmolLM2-135M-Instruct}"
DATASET_FULL_NAME="${DATASET_FULL_NAME:-Movies_and_TV}"
DATASET_NAME="${DATASET_NAME:-$DEFAULT_NAME}"
RAW_PATH="${RAW_PATH:-${DATA_PATH:-data/dataset/movies/}}"
DATA_PATH="${DATA_PATH:-data/dataset/$DEFAULT_NAME/}"
UNIREC_DATA_PATH="${UNIREC_DATA_PATH:-unirec/data/$DEFAULT_NAME/}"
UNIREC_CONFIG_PATH="${UNIREC_CONFIG_PATH:-unirec/config/dataset/$DEFAULT_NAME.yaml}"

exec "$PYTHON" preprocess/data_preprocess_amazon.py \
    --tokenizer_path "$TOKENIZER_PATH" \
    --dataset_full_name "$DATASET_FULL_NAME" \
    --dataset_name "$DATASET_NAME" \
    --raw_path "$RAW_PATH" \
    --data_path "$DATA_PATH" \
    --unirec_data_path "$UNIREC_DATA_PATH" \
    --unirec_config_path "$UNIREC_CONFIG_PATH" \
    --split "$SPLIT" \
    "$@"
