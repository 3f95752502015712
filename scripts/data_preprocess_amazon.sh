#!/usr/bin/env bash
# Amazon Reviews 2018 (X_5.json.gz and meta_X.json.gz in DATA_PATH) -> dataset folder and UniRec files.
# Extra arguments go to the preprocessing, e.g. --users 0 --keep last.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python)}

TOKENIZER_PATH="${TOKENIZER_PATH:-snap/base/SmolLM2-135M-Instruct}"
DATASET_FULL_NAME="${DATASET_FULL_NAME:-Movies_and_TV}"
DATASET_NAME="${DATASET_NAME:-movies}"
DATA_PATH="${DATA_PATH:-data/dataset/movies/}"
UNIREC_DATA_PATH="${UNIREC_DATA_PATH:-unirec/data/movies/}"
UNIREC_CONFIG_PATH="${UNIREC_CONFIG_PATH:-unirec/config/dataset/movies.yaml}"

exec "$PYTHON" preprocess/data_preprocess_amazon.py \
    --tokenizer_path "$TOKENIZER_PATH" \
    --dataset_full_name "$DATASET_FULL_NAME" \
    --dataset_name "$DATASET_NAME" \
    --data_path "$DATA_PATH" \
    --unirec_data_path "$UNIREC_DATA_PATH" \
    --unirec_config_path "$UNIREC_CONFIG_PATH" \
    "$@"
