#!/bin/sh
# Generates gen/ from the contracts. The versions of the plugins are those in go.mod.
#
# It needs the interpreter of the repository (PYTHON, by default ../../.venv/bin/python) and buf
# (BUF, by default ../../.ci/buf/node_modules/.bin/buf).
set -eu
cd "$(dirname "$0")"
python="${PYTHON:-../../.venv/bin/python}"
buf="${BUF:-../../.ci/buf/node_modules/.bin/buf}"
python="$(realpath -s "$python")"
(cd ../.. && "$python" -m tools.generate contracts)
rm -rf gen
"$buf" generate
gofmt -l gen
