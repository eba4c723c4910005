#!/usr/bin/env bash
# timeout=300
# pack and inspect at the command line: a made folder with a broken image, a mis-named one, mistakes in the tables, a full disk.
source "$(dirname "$0")/common.sh.inc"

check "phantom" "$ladnn" phantom --out phantom --scale 0.05
cp -r phantom broken
first=$(ls broken/CT_COVID | head -n 1)
pack=("$ladnn" pack --preset covid-ct --size 32)

check "pack" "${pack[@]}" --in phantom --out shards --name p
"$ladnn" inspect shards --verify >inspect.out 2>&1
check "inspect finds nothing damaged" grep -q " 0 damaged" inspect.out
check "inspect says synthetic" grep -q SYNTHETIC inspect.out
check "inspect says once what it is for" test "$(grep -c "research use only" inspect.out)" -eq 1
check "inspect --json is JSON" bash -c "'$ladnn' inspect shards --json | python3 -c 'import json, sys; assert json.load(sys.stdin)[\"synthetic\"]'"
check "original size" "${pack[@]}" --in phantom --out own --name p --size 0
check "gzip" "${pack[@]}" --in phantom --out packed --name p --filter gzip --shards 2
check "inspect gzip" "$ladnn" inspect packed --verify
check "one shard alone" "$ladnn" inspect packed/p-train-00001-of-00002.h5 --verify
check "h5dump reads it" h5dump -H shards/p-train-00000-of-00001.h5
expect_error "gzip needs a size" any "pack.filter" "${pack[@]}" --in phantom --out own2 --size 0 --filter gzip
expect_error "another name in the folder" any "holds another data set" "${pack[@]}" --in phantom --out shards --name q

# A broken picture is left out and named; strict stops.
truncate -s 200 "broken/CT_COVID/$first"
"${pack[@]}" --in broken --out out --name b >broken.out 2>&1
check "a broken image is left out" test $? -eq 0
check "and counted" grep -q "unreadable images, left out: 1" broken.out
check "and listed" grep -qF "$first" out/b-report.txt
expect_error "strict" any "$first" "${pack[@]}" --in broken --out strict --name b --strict

# Tables.
cp -r phantom wrong
sed -i '0,/,AirBr,/s//,Aibr,/' wrong/train_meta.csv
expect_error "a mis-spelt lesion" any "train_meta.csv:1: unknown lesion 'Aibr' \(known: GGO" "${pack[@]}" --in wrong --out wrong.out
check "nothing is left of a refused packing" test ! -e wrong.out
rm -r wrong
cp -r phantom wrong
row=$(sed -n 2p wrong/train_meta.csv)
printf '%s\r\n' "${row%$'\r'}" >>wrong/test_meta.csv
expect_error "an image in two splits" any "test_meta.csv:[0-9]+: the file .* was listed before" "${pack[@]}" --in wrong --out wrong.out

# Shards: flipped, cut, missing, mixed.
cp -r shards flipped
python3 - flipped/p-test-00000-of-00001.h5 <<'PY'
import sys
path = sys.argv[1]
data = bytearray(open(path, "rb").read())
data[len(data) // 2] ^= 1
open(path, "wb").write(data)
PY
expect_error "a flipped pixel" any "p-test-00000-of-00001.h5: image [0-9]+ .*CRC-32C" "$ladnn" inspect flipped --verify
truncate -s -1 flipped/p-val-00000-of-00001.h5
expect_error "a cut shard" any "p-val-00000-of-00001.h5: cannot open" "$ladnn" inspect flipped
rm packed/p-train-00000-of-00002.h5
expect_error "a missing shard" any "part 1 of 2 of train is missing" "$ladnn" inspect packed
cp own/p-val-00000-of-00001.h5 shards/
expect_error "shards of two packings" any "not of the same packing" "$ladnn" inspect shards

# A full disk (a limit on file sizes stands for it): says which file, leaves no shard; with room the same command goes on.
(ulimit -f 20; trap '' XFSZ; exec "${pack[@]}" --in phantom --out full --name p) >full.out 2>full.err
check "a full disk is an error" test $? -eq 1
check "that names the file" grep -q "p-train-00000-of-00001.h5 was not written" full.err
check "and leaves no shard" test -z "$(ls full)"
check "with room again" "${pack[@]}" --in phantom --out full --name p
check "whole is absent no more" test -z "$(ls -A full | grep '^\.')"
verdict
