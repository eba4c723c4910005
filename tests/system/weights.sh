#!/usr/bin/env bash
# timeout=900  Weights out of a run and in again: the same bits; what is missing, left over or of another network is refused or listed; a run that
# begins with a file is another run than one that does not; frozen stages stay as they were. With torch installed: tests/reference/check_weights.py.
source "$(dirname "$0")/common.sh.inc"
small_data 0.05
options=(--data shards --set augment.size=32 --set train.batch=8 --set train.threads=1 --set train.checkpoint_every_s=0)
printf '#!/bin/sh\nexec "%s" train %s "$@"\n' "$ladnn" "${options[*]}" >bin/train
printf '#!/bin/sh\nexec "%s" weights import "$@"\n' "$ladnn" >bin/import
chmod +x bin/train bin/import
edit() { python3 "$tests/reference/edit_safetensors.py" out.safetensors "$@"; }
# Tensors of two files of ours, bit for bit, attributes aside; with a third word, those that only the first has do not count.
same_tensors() {
  h5diff -v "$1" "$2" >same.log 2>&1
  awk -v may_lack="${3:-}" '
    NF == 2 && $1 == "x" && !may_lack { other = 1 }
    /^dataset:/ { tensor = 1; count++ }
    /^(group|attribute):|^Not comparable/ { tensor = 0 }
    tensor && /differences found/ { if ($1 != 0) other = 1; tensor = 0 }
    END { exit other || count < 90 }' same.log
}
has() { grep -q -- "$1" "$2"; }
holds() { ! "$@"; }
export -f same_tensors

check "a run" train --out run --epochs 1
check "export" "$ladnn" weights export run --out out.safetensors
check "show" bash -c "'$ladnn' weights show out.safetensors >show.txt && grep -q '(64, 3, 7, 7) f32 *conv1.weight' show.txt && grep -q 'safetensors, 122 tensors' show.txt && grep -q 'research use only' show.txt"
check "show in JSON" bash -c "'$ladnn' weights show run/best.h5 --json | python3 -c 'import json,sys; d=json.load(sys.stdin); assert len(d[\"tensors\"]) == 102 and d[\"kind\"] == \"ladnn\", d'"
check "import of what was exported" bash -c "'$ladnn' weights import out.safetensors --backbone resnet18 --out back.h5 >back.txt"
check "says so" has "resnet18: 102 same, 0 renamed, 0 missing, 0 unused, 20 counters" back.txt
check "the same bits" same_tensors run/best.h5 back.h5
edit other.safetensors head=3
check "import with other values" bash -c "'$ladnn' weights import other.safetensors --backbone resnet18 --out other.h5 >other.txt"
check "a head of another task is left out, and said so" has "head: 3 outputs in the file, 6 wanted: left at its initial values" other.txt
check "and is not in the file" holds bash -c "'$ladnn' weights show other.h5 | grep -q fc.weight"
edit parallel.safetensors parallel
check "names of DataParallel" bash -c "'$ladnn' weights import parallel.safetensors --backbone resnet18 --out parallel.h5 >parallel.txt && grep -q '0 same, 102 renamed' parallel.txt"
check "and the same bits" same_tensors run/best.h5 parallel.h5
edit half.safetensors half=layer1.0.conv1.weight
check "f16 is taken" import half.safetensors --backbone resnet18 --out half.h5
edit alone.safetensors drop=fc.weight drop=fc.bias
check "no head" bash -c "'$ladnn' weights import alone.safetensors --backbone resnet18 --out alone.h5 | grep -q 'head: not in the file: left at its initial values'"

# ---- what is wrong is said ----
edit dropped.safetensors drop=layer2.0.bn1.weight add=spare.weight
expect_error "missing and unused" 1 "not the weights of resnet18: 1 tensors are missing, 1 are of no use" import dropped.safetensors --backbone resnet18 --out no.h5
check "they are listed" bash -c "grep -q 'MISSING .*layer2.0.bn1.weight' expect.out && grep -q 'unused .*spare.weight' expect.out"
check "nothing was written" holds test -e no.h5
check "partial" import dropped.safetensors --backbone resnet18 --out partial.h5 --partial
edit transposed.safetensors transpose=layer2.0.conv1.weight
expect_error "another shape" 1 "'layer2.0.conv1.weight' is \(3, 3, 64, 128\) f32, but .* is \(128, 64, 3, 3\)" import transposed.safetensors --backbone resnet18 --out no.h5
edit whole.safetensors whole=layer2.0.conv1.weight
expect_error "another type" 1 "is i32; weights are f32" import whole.safetensors --backbone resnet18 --out no.h5
edit negative.safetensors negative=bn1.running_var
expect_error "a negative variance" 1 "'bn1.running_var' has a negative variance" import negative.safetensors --backbone resnet18 --out no.h5
edit nan.safetensors nan=bn1.bias
expect_error "not a number" 1 "'bn1.bias' has a value that is not a number" import nan.safetensors --backbone resnet18 --out no.h5
edit twice.safetensors add=module.conv1.weight
expect_error "two for one" 1 "another shape|is \(2\) f32, but" import twice.safetensors --backbone resnet18 --out no.h5
expect_error "another network" 1 "of resnet50 is" import out.safetensors --backbone resnet50 --out no.h5
expect_error "another family" 1 "no tensor of it belongs to vgg16" import out.safetensors --backbone vgg16 --out no.h5 --partial
expect_error "code in a pickle" 1 "posix.system.*nothing of it was executed" import "$tests/reference/weights/evil.pth" --backbone resnet18 --out no.h5
expect_error "code in an old pickle" 1 "posix.system.*nothing of it was executed" "$ladnn" weights show "$tests/reference/weights/evil-old.pth"
check "nothing was executed" holds test -e executed
cp out.safetensors resnet18-00000000.safetensors
expect_error "not the file that its name promises" 1 "promises the SHA-256 00000000" import resnet18-00000000.safetensors --backbone resnet18 --out no.h5
cp out.safetensors "resnet18-$(sha256sum out.safetensors | cut -c1-8).safetensors"
check "the file that its name promises" import resnet18-*[!0].safetensors --backbone resnet18 --out yes.h5
expect_error "no backbone" 2 "which network" import out.safetensors --out no.h5
expect_error "nowhere to" 2 "where to" import out.safetensors --backbone resnet18
expect_error "no file" 2 "which file" "$ladnn" weights show
expect_error "no such word" 2 "one of|show" "$ladnn" weights shew out.safetensors
expect_error "a word too many" 2 "unexpected word" "$ladnn" weights show out.safetensors more
expect_error "not a run" 1 "config.cfg" "$ladnn" weights export . --out no.safetensors
expect_error "no folder to write to" 1 "no/such" "$ladnn" weights export run --out no/such/file.safetensors
check "nothing was written" holds test -e no.h5

# ---- beginning with a file ----
check "a run that begins with one" train --out begun --epochs 1 --init other.h5
check "its line" has "^train.init sha256 = [0-9a-f]*$" begun/identity.txt
mv other.h5 moved.h5
check "another name is no other run" bash -c "train --out begun --epochs 1 --init moved.h5 2>&1 | grep -qi 'finished'"
expect_error "other weights are another run" 1 "begun" train --out begun --epochs 1 --init back.h5
expect_error "none are another run" 1 "begun" train --out begun --epochs 1
expect_error "no such file" 1 "nowhere.h5: cannot open" train --out a --init nowhere.h5
expect_error "not ours" 1 "not a tensor file of ladnn" train --out a --init out.safetensors
expect_error "of another network" 1 "weights of resnet18, but model.backbone is vgg16" train --out c --init moved.h5 --set model.backbone=vgg16
check "partial is taken, with a warning" bash -c "train --out partial --epochs 1 --max-steps 1 --init partial.h5 2>&1 | grep -q 'imported as partial: 1 tensors are drawn from the seed'"
expect_error "nothing to freeze" 1 "train.freeze = 1 .*train.init" train --out a --freeze 1
expect_error "more stages than there are" 1 "resnet18 has 5 stages before its head" train --out b --freeze 6 --init moved.h5
check "all but the head frozen" train --out frozen --epochs 2 --freeze -1 --init moved.h5
check "one rate for the head" train --out rates --epochs 1 --init moved.h5 --set optim.head_lr_factor=10 --set optim.layer_decay=0.5
check "everything else is as it was" same_tensors frozen/best.h5 moved.h5 head
check "rates change weights" holds same_tensors rates/best.h5 begun/best.h5
check "the same on two ranks" mpi 2 "$ladnn" train "${options[@]}" --out frozen2 --epochs 1 --freeze 2 --init moved.h5 --set train.deterministic=true --set train.virtual_shards=2
check "and on one" train --out frozen1 --epochs 1 --freeze 2 --init moved.h5 --set train.deterministic=true --set train.virtual_shards=2
check "bit for bit" same_state frozen1 frozen2

# ---- ONNX ----
check "ONNX" "$ladnn" weights export run --out net.onnx --format onnx
expect_error "safetensors under ONNX's name" 1 "no.onnx: the name ends in .onnx, but weights.format is safetensors" "$ladnn" weights export run --out no.onnx
check "the hint says how" grep -q 'hint: --format onnx, or another name' expect.err
expect_error "and the reverse" 1 "but weights.format is onnx" "$ladnn" weights export run --out no.safetensors --format onnx
check "nothing was written" test ! -e no.onnx -a ! -e no.safetensors
check "says what it is for" has "research use only: not for diagnosis" net.onnx

if [ -x /usr/bin/python3 ] && /usr/bin/python3 -c 'import torch, torchvision' 2>/dev/null; then
  check "torch" /usr/bin/python3 "$tests/reference/check_weights.py" "$ladnn" "$(dirname "$ladnn")/tests/test_train_weights" check resnet18 efficientnet_b0
  grep 'NOT COMPARED' check.log
else
  echo "NOT COMPARED with torch, which is not installed"
fi
verdict
