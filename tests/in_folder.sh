#!/usr/bin/env bash
# Runs a test and removes its work folder when it passed: checkpoints of all tests together would be tens of GB.
# Usage: in_folder.sh FOLDER command ...     what a failed test wrote stays, for looking at
"${@:2}" || exit
rm -rf "$1"
