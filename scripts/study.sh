#!/usr/bin/env bash
# Compare item forms over training time and seeds: scripts/study.sh NAME [flags of main.py for every run]
# FORMS, EPOCHS (0.5 is half a pass) and SEEDS list the runs, every combination; HISTORIES the numbers of events shown in
# the tests. Finished runs are skipped and a killed one resumes, so that lists can grow. The page covers all runs of
# snap/NAME/study.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python)}
FORMS=${FORMS:-token title_t} EPOCHS=${EPOCHS:-1 3 6} SEEDS=${SEEDS:-0} HISTORIES=${HISTORIES:-10 50}
BASE=${BACKBONE:-snap/base/SmolLM2-135M-Instruct}
export PYTHON TOKENIZERS_PARALLELISM=false OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}

source scripts/dataset_name.sh

if ! name=$(dataset_name "${1:-}"); then
    echo "error: usage: scripts/study.sh NAME [flags of main.py], NAME being a folder of data/dataset/" >&2
    exit 2
fi
shift
for number in $SEEDS $HISTORIES; do
    if ! [[ $number =~ ^(0|[1-9][0-9]{0,5})$ ]]; then
        echo "error: SEEDS and HISTORIES hold '$number', wanted whole numbers with spaces between" >&2
        exit 2
    fi
done
for number in $EPOCHS; do
    if ! [[ $number =~ ^(0|[1-9][0-9]{0,5})(\.[0-9]{0,5}[1-9])?$ && $number != 0 ]]; then
        echo "error: EPOCHS holds '$number', wanted numbers above 0 such as 0.5 or 3 with spaces between" >&2
        exit 2
    fi
done
for form in $FORMS; do
    if ! [[ $form =~ ^[a-z_]+$ ]]; then
        echo "error: FORMS holds '$form', wanted item forms of --item_index with spaces between" >&2
        exit 2
    fi
done
for flag in "$@"; do
    if [[ $flag =~ ^--(seed|epoch|item_index|output|teacher|backbone|data_path)(=|$) ]]; then
        echo "error: $flag is set by the study itself; give SEEDS, EPOCHS, FORMS or BACKBONE, or leave it out" >&2
        exit 2
    fi
done
data=data/dataset/$name/
folder=snap/$name/study
teacher=local:unirec/output/$name

stage() { # NAME [arguments of scripts/stage.py ...]
    "$PYTHON" scripts/stage.py "$1" --state "$folder/stages" "${@:2}"
}
test_stage() { # NAME [input flags ...] -- [flags of task_test.py ...]
    local test=$1 inputs=()
    shift
    while [ "$1" != -- ]; do inputs+=("$1"); shift; done
    shift
    local result=$folder/results/$test.json
    stage "test-$test" --input "$data" ${inputs[@]+"${inputs[@]}"} --code task_test.py --output "$result" -- \
        "$PYTHON" task_test.py --data_path "$data" --SFT_test_task SFTTestSeqRec --topk 10 --hide_seen visible \
        --output "$result" "$@"
}

for history in $HISTORIES; do
    test_stage "sasrec-h$history" --input "unirec/output/$name" -- --ranker teacher --teacher "$teacher" \
        --max_history "$history"
    test_stage "popularity-h$history" -- --ranker popularity --max_history "$history"
done
for seed in $SEEDS; do
    for epochs in $EPOCHS; do
        for form in $FORMS; do
            run=$form-e$epochs-s$seed
            whole=${epochs%.*}
            [[ $epochs != *.* ]] || whole=$((whole + 1))
            adapter=$folder/$run/$(printf 'Epoch%02d_SFT' "$whole")
            stage "train-$run" --input "$data" "$BASE" "unirec/output/$name" main.py scripts/recipe.sh \
                --value RECIPE="${RECIPE:-cpu}" --code train_utils/{training/sft,command}.py --output "$adapter" -- \
                env ITEM_INDEX="$form" bash scripts/train_RecLM_cgen.sh "$name" --output "$folder/$run" --overwrite \
                --teacher "$teacher" --epoch "$epochs" --seed "$seed" "$@"
            for history in $HISTORIES; do
                test_stage "$run-h$history" --input "$adapter" -- --model_name "$adapter" --use_CBS --CBS_type 2 \
                    --idx --decoding rank --max_history "$history"
            done
            "$PYTHON" -m train_utils.report.study "$folder" > /dev/null || true # the last one tells what is wrong
        done
    done
done
exec "$PYTHON" -m train_utils.report.study "$folder"
