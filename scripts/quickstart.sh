#!/usr/bin/env bash
# Run the whole pipeline on real data and two CPU cores: raw ratings -> SASRec teacher -> LoRA SFT
# -> merge -> test against baselines -> table, picture, chat. Finished stages are skipped; a killed run resumes.
# EPOCHS is the number of passes of the SFT over the data, 1 to 9 (default 2).
set -euo pipefail
cd "$(dirname "$0")/.."

PORT=${TEACHER_PORT:-2068}
NAME=ml-100k
DATA=data/dataset/$NAME
TEACHER=http://127.0.0.1:$PORT
TEACHER_EASE=$TEACHER+ease:$DATA
BASE=snap/base/SmolLM2-135M-Instruct
RUN=snap/$NAME/cgen
OUT=snap/quickstart
EPOCHS=${EPOCHS:-2}
if ! [[ $EPOCHS =~ ^[1-9]$ ]]; then
    echo "error: EPOCHS is '$EPOCHS', wanted the number of passes of the SFT, 1 to 9" >&2
    exit 2
fi
TUNED=$RUN/SFT_Epoch$EPOCHS
export TEACHER_PORT=$PORT TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1

started=$(date +%s)
bash scripts/env.sh
environment_seconds=$(($(date +%s) - started))
PYTHON=.venv/bin/python

stage() { # NAME [arguments of scripts/stage.py ...]
    "$PYTHON" scripts/stage.py "$1" --state $OUT/stages --input requirements.lock requirements-torch.txt requirements-unirec.txt "${@:2}"
}
score() { # STAGE-NAME RESULT [stage flags ...] -- [flags of task_test.py ...]
    local name=$1 result=$2 flags=()
    shift 2
    while [ "$1" != -- ]; do flags+=("$1"); shift; done
    shift
    local before=()
    if [[ $* == *"--teacher "* ]]; then
        before=(bash scripts/with_teacher.sh $NAME "$PORT")
        flags+=(--code unirec/async_server.py)
    fi
    stage "$name" --input $DATA --code task_test.py \
        ${flags[@]+"${flags[@]}"} --output "$result" -- ${before[@]+"${before[@]}"} "$PYTHON" task_test.py \
        --data_path $DATA/ --SFT_test_task SFTTestSeqRec --topk 10 --hide_seen visible --output "$result" "$@"
}

stage fetch --code scripts/fetch_defaults.py \
    --output $BASE data/raw/ml-100k data/raw/sharegpt -- "$PYTHON" scripts/fetch_defaults.py
stage preprocess --input data/raw/ml-100k $BASE/tokenizer.json \
    --code preprocess/{data_preprocess,transform2unirec}.py \
    --output $DATA unirec/data/$NAME unirec/config/dataset/$NAME.yaml -- \
    bash scripts/data_preprocess_movielens.sh
stage teacher --input unirec/data/$NAME unirec/config/{base.yaml,model,dataset/$NAME.yaml} --code unirec/train.py \
    --output unirec/output/$NAME -- \
    bash scripts/unirec_train.sh $NAME
stage sft --input $DATA $BASE unirec/output/$NAME data/raw/sharegpt main.py \
    --code train_utils/{training/sft,command}.py unirec/async_server.py --value ITEM_INDEX="${ITEM_INDEX:-token}" \
    --output $RUN/Epoch0${EPOCHS}_SFT -- \
    bash scripts/with_teacher.sh $NAME "$PORT" bash scripts/train_RecLM_cgen.sh $NAME --epoch $EPOCHS --overwrite
stage merge --input $RUN/Epoch0${EPOCHS}_SFT $BASE main.py --code train_utils/{models/merge,command}.py --output $TUNED -- \
    bash scripts/run_SFT_merge.sh $NAME

# Rank the ten most probable titles of each model: the base model never learned to open an item or to write a list.
model_flags=(--use_CBS --CBS_type 2 --batch_size 16 --idx --decoding rank)
score test_cgen $OUT/RecLM-cgen.json --input $TUNED -- --model_name $TUNED/ "${model_flags[@]}"
# What train_utils.Recommender gives a teacher's scores by default.
prior_weight=$([ "${ITEM_INDEX:-token}" = title_t ] && echo 32 || echo 8)
score test_prior $OUT/RecLM-cgen+prior.json --input $TUNED unirec/output/$NAME -- --model_name $TUNED/ \
    "${model_flags[@]}" --prior teacher --prior_weight "$prior_weight" --teacher "$TEACHER_EASE"
score test_base $OUT/base-constrained.json --input $BASE -- --model_name $BASE/ "${model_flags[@]}"
score test_popularity $OUT/popularity.json -- --ranker popularity
score test_recent_popularity $OUT/recent-popularity.json -- --ranker recent-popularity
score test_item_knn $OUT/item-knn.json -- --ranker item-knn
score test_markov $OUT/markov.json -- --ranker markov
score test_ease $OUT/ease.json -- --ranker ease
score test_sasrec $OUT/sasrec.json --input unirec/output/$NAME -- --ranker teacher --teacher "$TEACHER"
score test_sasrec_ease $OUT/sasrec+ease.json --input unirec/output/$NAME -- --ranker teacher --teacher "$TEACHER_EASE"

# Simulated users who talk with the chat; words that only mean a category need an encoder, which is not fetched here.
stage conversations --input $TUNED $DATA unirec/output/$NAME --code train_utils/evaluation/conversation.py \
    --output $OUT/conversations.json -- "$PYTHON" -m train_utils.evaluation.conversation --data_path $DATA \
    --model_name $TUNED/ --teacher local:unirec/output/$NAME --embedding_model '' --users 96 --free_users 16 \
    --output $OUT/conversations.json
stage chat --input $TUNED $DATA scripts/chat_example.txt --code cli_serve.py \
    --output $OUT/chat.txt -- bash -c "set -o pipefail; $PYTHON cli_serve.py --model_name $TUNED/ --domain $NAME --echo \
    --max_new_tokens 200 < scripts/chat_example.txt > $OUT/chat.tmp && mv $OUT/chat.tmp $OUT/chat.txt"

exec "$PYTHON" scripts/quickstart_report.py $OUT --model $TUNED/ --environment_seconds "$environment_seconds"
