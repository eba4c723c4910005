#!/usr/bin/env bash
# timeout=600  Bad input and dying ranks: a clear line, a non-zero exit of all ranks, nothing half-written.
source "$(dirname "$0")/common.sh.inc"
small_data
options=(--data shards --set augment.size=64 --set train.batch=8 --set train.epochs=1 --set train.threads=1)
train() { "$ladnn" train "${options[@]}" "$@"; }
export -f train

expect_error "unknown key" any "train.epoch" "$ladnn" train "${options[@]}" --out a --set train.epoch=3
printf 'train = { epochs = 2;\n batchs = 3; };\n' >bad.cfg
expect_error "unknown key in a file" any "bad.cfg:2.*batchs" "$ladnn" train --config bad.cfg "${options[@]}" --out a
expect_error "out of range" any "train.epochs" "$ladnn" train "${options[@]}" --out a --set train.epochs=-1
expect_error "no data" any "nowhere" "$ladnn" train --data nowhere --out a
expect_error "no backbone" any "resnet19" "$ladnn" train "${options[@]}" --out a --set model.backbone=resnet19
expect_error "NaN loss names the batch" any "epoch 1 batch [0-9]+: the (loss|gradient)" mpi 2 "$ladnn" train "${options[@]}" --out nan --set optim.lr=100 --set optim.weight_decay=10 --set optim.name=sgd
expect_error "another run's folder" any "holds another run.*optim" "$ladnn" train "${options[@]}" --out nan --set optim.lr=1e-4
check "overwrite begins anew" "$ladnn" train "${options[@]}" --out nan --set optim.lr=1e-4 --overwrite

# --resume=false begins anew and leaves nothing of the old run to continue from.
"$ladnn" train "${options[@]}" --out anew --set train.max_steps=5 >/dev/null 2>&1
"$ladnn" train "${options[@]}" --out anew --set train.max_steps=2 --resume=false >/dev/null 2>&1
check "continues the new run" "$ladnn" train "${options[@]}" --out anew
check "whole record" test "$(grep -c '"type": "step"' anew/record.jsonl)" -eq 10
expect_error "no data named" any "train.data is not set" "$ladnn" train --out a
expect_error "no folder named" any "train.out is not set" "$ladnn" train --data shards
expect_error "more votes than epochs" any "train.vote_last = 3.*train.epochs = 1" "$ladnn" train "${options[@]}" --out a --set train.vote_last=3

# A checkpoint of another network under this run's name.
"$ladnn" train "${options[@]}" --out one --set train.max_steps=1 >/dev/null 2>&1
"$ladnn" train "${options[@]}" --out two --set train.max_steps=1 --set model.backbone=densenet121 >/dev/null 2>&1
rm -rf one/checkpoints && cp -r two/checkpoints one/
expect_error "checkpoint of another network" any "checkpoint of densenet121, wanted resnet18" "$ladnn" train "${options[@]}" --out one

# Altered and truncated shards.
cp -r shards broken
victim=$(ls broken/*train*.h5 | head -1)
size=$(stat -c %s "$victim")
printf '\xff\xff\xff\xff' | dd of="$victim" bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
expect_error "altered shard" any "$(basename "$victim")" mpi 2 "$ladnn" train --data broken "${options[@]:2}" --out b
truncate -s $((size / 2)) "$victim"
expect_error "truncated shard" any "$(basename "$victim")" mpi 2 "$ladnn" train --data broken "${options[@]:2}" --out b
rm "$victim"
expect_error "missing shard" any "train" "$ladnn" train --data broken "${options[@]:2}" --out b

# A killed rank ends all within 10 s; the run then continues to the end.
mpi 2 "$ladnn" train "${options[@]}" --set train.epochs=200 --set train.checkpoint_every_s=0.01 --out killed >killed.log 2>&1 &
launcher=$!
sleep 4
victim=$(pgrep -P $launcher | tail -1)
kill -9 "$victim"
started=$SECONDS rc=0
wait $launcher || rc=$?
check "non-zero exit after a killed rank" test $rc -ne 0
check "within 10 s" test $((SECONDS - started)) -le 10
check "says which rank" grep -Eqi "rank 1|process rank" killed.log
check "no rank is left" bash -c "! pgrep -f -- '--out [k]illed' >/dev/null"
check "continues" mpi 2 "$ladnn" train "${options[@]}" --set train.epochs=2 --out killed

# A full disk, where mounting is permitted.
mkdir -p full
if mount -t tmpfs -o size=20m none full 2>/dev/null; then
  expect_error "full disk" any "full/run.*(No space|space left)" "$ladnn" train "${options[@]}" --out full/run
  check "nothing half-written" bash -c "! ls full/run/checkpoints/step-* >/dev/null 2>&1 && test ! -e full/run/metrics.json"
  umount full
else
  echo "not tested here: a full disk (no permission to mount)"
fi
# Ranks must agree on settings and data; a run folder has one writer; what is asked must be what is there.
plain=("$ladnn" train "${options[@]}")
both=(mpirun --oversubscribe --bind-to none -np 1 "${plain[@]}" --out ranks : -np 1 "${plain[@]}" --out ranks)
expect_error "a rank with other settings" any "rank 1 has 'optim.lr = 1', rank 0 has 'optim.lr = " "${both[@]}" --set optim.lr=1
expect_error "a rank with another network" any "rank 1 has 'model.backbone = resnet50'" "${both[@]}" --set model.backbone=resnet50
"$ladnn" phantom --out phantom2 --scale 0.1 --set phantom.seed=9 >two.log 2>&1 && "$ladnn" pack --preset covid-ct --in phantom2 --out shards2 --name phantom --size 96 >>two.log 2>&1
expect_error "a rank with other data" any "rank 1 has 'data sha256 = " "${both[@]}" --data shards2

"$ladnn" train "${options[@]}" --out busy --set train.epochs=30 >busy.log 2>&1 &
busy=$!
for _ in $(seq 100); do [ -s busy/record.jsonl ] && break; sleep 0.1; done
expect_error "a second writer" 1 "busy: another ladnn is working in this run folder" "$ladnn" train "${options[@]}" --out busy --set train.epochs=30
kill -9 $busy 2>/dev/null
wait $busy 2>/dev/null

check "a run" "${plain[@]}" --out once
check "again: nothing to do" "${plain[@]}" --out once
expect_error "more epochs than it had" 1 "finished with 1 epochs, train.epochs is 2" "${plain[@]}" --out once --set train.epochs=2
mkdir foreign && echo z >foreign/metrics.json
expect_error "somebody else's folder" 1 "foreign: not empty, and no run folder" "${plain[@]}" --out foreign
check "nothing was written there" test "$(ls foreign | grep -vc lock)" -eq 1
check "stopped in the second epoch" bash -c '"$0" "${@}"; test $? -eq 75' "$ladnn" train "${options[@]}" --out part --set train.epochs=3 --set train.max_steps=14
expect_error "fewer epochs than done" 1 "its checkpoint is in epoch [23], train.epochs is 1" "${plain[@]}" --out part
expect_error "a validation loss that is no number" 1 "not a number" "${plain[@]}" --out nonumber --set optim.name=sgd --set optim.lr=100 --set optim.momentum=0.99
expect_error "threads beyond reason" 1 "4096 threads: this machine has" "${plain[@]}" --out many --set train.threads=4096

# eval: its own settings only, the run's data or a word about it, once for all ranks.
expect_error "eval takes no other settings" 2 "model" "$ladnn" eval once --set model.backbone=resnet50
"$ladnn" eval once --data shards2 >other.json 2>other.err
check "other data is said" grep -q "not the data that once was trained on" other.err
check "and written" grep -q '"data_of_the_run": false' other.json
mpirun --oversubscribe --bind-to none -np 2 "$ladnn" eval once >two.json 2>two.err
check "eval on two ranks prints once" /usr/bin/python3 -c 'import json; assert json.load(open("two.json"))["data_of_the_run"] is True'
"$ladnn" eval once >one.json 2>one.err
check "the same as on one" cmp one.json two.json
check "from another folder" bash -c 'cd / && "$0" eval "$1"' "$ladnn" "$PWD/once"
verdict
