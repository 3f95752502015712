#!/usr/bin/env bash
# Fine-tuning of RecLM-ret: scripts/train_RecLM_ret.sh NAME [flags of main.py]. The teacher must be serving.
# The item vectors are made first, where the dataset folder has none.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python)}

BACKBONE=${BACKBONE:-snap/base/SmolLM2-135M-Instruct}
EMBEDDING_MODEL=${EMBEDDING_MODEL:-snap/base/all-MiniLM-L6-v2}
TEACHER_PORT=${TEACHER_PORT:-2068}
# cpu: a quarter of an hour of two cores. published: the recipe of arXiv 2505.03336, for a GPU.
RECIPE=${RECIPE:-cpu}

if [[ $# -lt 1 || ! $1 =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]*$ ]]; then
    echo "error: usage: scripts/train_RecLM_ret.sh NAME [flags of main.py], such as: scripts/train_RecLM_ret.sh movies" >&2
    exit 2
fi
case $RECIPE in
    cpu)
        flags=(--epoch 3 --batch_size 2 --gradient_accumulation_steps 2 --lr 1e-3 --lr_power 1 --warmup_ratio 0.03
            --SFT_actor_lora_a 16 --lora_dropout 0 --lora_layers 15 --soft_labels 0.7 --teacher_depth 100
            --history_weight 1 --max_history 25 --list_ratio 0.5 --idx --multi_round_ratio 0.1 --max_segment 128)
        ;;
    published)
        flags=(--epoch 20 --batch_size 1 --gradient_accumulation_steps 64 --lr 1e-4 --max_segment 500 --idx)
        ;;
    *)
        echo "error: RECIPE is '$RECIPE', wanted cpu or published" >&2
        exit 2
        ;;
esac
if [[ $EMBEDDING_MODEL == snap/base/all-MiniLM-L6-v2 && ! -f $EMBEDDING_MODEL/model.safetensors ]]; then
    "$PYTHON" scripts/fetch_defaults.py --with_minilm
fi
exec "$PYTHON" main.py --train_stage SFT_Embedding --data_path "data/dataset/$1/" --output "snap/$1/ret" \
    --backbone "$BACKBONE" --embedding_model "$EMBEDDING_MODEL" --teacher "http://127.0.0.1:$TEACHER_PORT" \
    "${flags[@]}" "${@:2}"
