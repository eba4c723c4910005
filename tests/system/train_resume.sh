#!/usr/bin/env bash
# timeout=600  A run interrupted anywhere and continued ends with the bits of the uninterrupted one.
source "$(dirname "$0")/common.sh.inc"
small_data
options=(--data shards --set augment.size=64 --set train.batch=10 --set train.epochs=2 --set optim.lr=1e-3 --set train.threads=1)
net() { echo --set model.backbone="$1"; }

check "straight run" "$ladnn" train "${options[@]}" $(net resnet18) --out straight
steps=$(grep -c '"type": "step"' straight/record.jsonl)
echo "$steps steps"
for stop in 1 $((steps / 2 - 1)) $((steps / 2)) $((steps / 2 + 1)) $((steps - 1)); do
  expect_error "stop at step $stop" 75 "checkpoint; the same command continues" \
    "$ladnn" train "${options[@]}" $(net resnet18) --out "stop$stop" --set train.max_steps="$stop"
  check "continue from step $stop" "$ladnn" train "${options[@]}" $(net resnet18) --out "stop$stop"
  check "state after step $stop" same_state straight "stop$stop"
  check "predictions after step $stop" cmp straight/predictions.csv "stop$stop/predictions.csv"
  check "metrics after step $stop" cmp straight/metrics.json "stop$stop/metrics.json"
  check "record after step $stop" diff <(grep step straight/record.jsonl | grep -v seconds) <(grep step "stop$stop/record.jsonl" | grep -v seconds)
done

# The figures are what scikit-learn makes of the predictions.
if /usr/bin/python3 -c 'import sklearn' 2>/dev/null; then
  check "scikit-learn agrees" /usr/bin/python3 "$tests/reference/check_metrics.py" straight
  sed 's/"tp": [0-9]*/"tp": 999/' straight/metrics.json >wrong.json && mkdir wrong && cp straight/predictions.csv straight/identity.txt wrong/ && mv wrong.json wrong/metrics.json
  check "and would say so" bash -c "! /usr/bin/python3 '$tests/reference/check_metrics.py' wrong"
else
  echo "not tested here: scikit-learn is missing"
fi

# Dropout and stochastic depth are continued too; kill -9 instead of a stop; checkpoints at every step.
check "straight efficientnet" "$ladnn" train "${options[@]}" $(net efficientnet_b0) --out straight_e
for delay in 0.7 1.3 2.1; do
  "$ladnn" train "${options[@]}" $(net efficientnet_b0) --out "kill$delay" --set train.checkpoint_every_s=0.001 >kill.log 2>&1 &
  sleep $delay
  kill -9 $! 2>/dev/null
  wait $! 2>/dev/null
  check "continue after kill at $delay s" "$ladnn" train "${options[@]}" $(net efficientnet_b0) --out "kill$delay"
  check "state after kill at $delay s" same_state straight_e "kill$delay"
  check "predictions after kill at $delay s" cmp straight_e/predictions.csv "kill$delay/predictions.csv"
done

# A damaged newest checkpoint is reported and the previous one used.
"$ladnn" train "${options[@]}" $(net resnet18) --out damaged --set train.max_steps=3 >/dev/null 2>&1
"$ladnn" train "${options[@]}" $(net resnet18) --out damaged --set train.max_steps=5 >/dev/null 2>&1
printf 'x' | dd of="$(last_state damaged)" bs=1 seek=20000 conv=notrunc 2>/dev/null
check "continue past a damaged checkpoint" bash -c '"$@" 2>damaged.log' - "$ladnn" train "${options[@]}" $(net resnet18) --out damaged
check "says so" grep -q "step-0000000005.*\(checksum\|damaged\)" damaged.log
check "state past a damaged checkpoint" same_state straight damaged
verdict
