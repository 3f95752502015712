#!/usr/bin/env bash
# MovieLens in RAW_PATH -> dataset folder and UniRec files: scripts/data_preprocess_movielens.sh [RELEASE] [flags], where
# RELEASE is ml-100k (default), ml-1m, ml-10m, ml-20m, ml-25m, ml-32m or ml-latest.
# SPLIT=temporal splits by time instead of leave-one-out and writes a separate dataset, such as ml-100k-temporal.
set -euo pipefail

RELEASE="ml-100k"
if [[ $# -gt 0 && $1 != -* ]]; then
    RELEASE=$1
    shift
fi
SPLIT="${SPLIT:-leave-one-out}"
NAME=$RELEASE
if [[ $SPLIT != leave-one-out ]]; then NAME="$NAME-$SPLIT"; fi

exec bash "$(dirname "$0")/data_preprocess.sh" "$RELEASE" "$NAME" \
    --tokenizer_path "${TOKENIZER_PATH:-snap/base/SmolLM2-135M-Instruct}" \
    --raw_path "${RAW_PATH:-data/raw/$RELEASE/}" \
    --data_path "${DATA_PATH:-data/dataset/$NAME/}" \
    --unirec_data_path "${UNIREC_DATA_PATH:-unirec/data/$NAME/}" \
    --unirec_config_path "${UNIREC_CONFIG_PATH:-unirec/config/dataset/$NAME.yaml}" \
    --split "$SPLIT" \
    "$@"
