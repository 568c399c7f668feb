#!/bin/sh
# Generates gen/ from the contracts. The versions of the plugins are those in go.mod.
#
# It needs the interpreter of the repository (PYTHON, by default ../../.venv/bin/python) and buf
# (BUF, by default ../../.ci/buf/node_modules/.bin/buf).
set -eu
cd "$(dirname "$0")"
python="${PYTHON:-../../.venv/bin/python}"
buf="${BUF:-../../.ci/buf/node_modules/.bin/buf}"
(cd ../.. && "$(cd clients/go && realpath -s "$python")" -c '
from pathlib import Path
from tools.generate import describe_contracts, without_rules
Path("dist").mkdir(exist_ok=True)
Path("dist/contracts.binpb").write_bytes(without_rules(describe_contracts()).SerializeToString())
')
rm -rf gen
"$buf" generate
gofmt -l gen
