#!/usr/bin/env bash
# Installs this commit of finetune-gate for a step of an action, or finds the one that is there.
# From the environment: INSTALL (own or none), EXTRAS, TORCH_INDEX. Writes the step's output `program`.
set -euo pipefail
: "${INSTALL:?}" "${EXTRAS?}" "${TORCH_INDEX?}" "${RUNNER_TEMP:?}" "${GITHUB_OUTPUT:?}"

if [[ "$INSTALL" == none ]]; then
  if ! program="$(command -v finetune-gate)"; then
    echo "::error title=finetune-gate is not on the PATH::with install: none an earlier step must have installed it"
    exit 2
  fi
elif [[ "$INSTALL" == own ]]; then
  if [[ ! "$EXTRAS" =~ ^[a-z,]*$ ]]; then
    echo "::error title=extras::expected names separated by commas, such as ray,dask"
    exit 2
  fi
  here="$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)"
  place="$RUNNER_TEMP/finetune-gate"
  program="$place/bin/finetune-gate"
  # two of our actions in one job need one installation
  if [[ ! -x "$program" ]]; then
    python3 -m venv "$place"
    pip=("$place/bin/python" -m pip install --disable-pip-version-check --quiet --constraint "$here/constraints.txt")
    if [[ -n "$TORCH_INDEX" ]]; then "${pip[@]}" --no-deps --index-url "$TORCH_INDEX" torch; fi
    "${pip[@]}" "$here${EXTRAS:+[$EXTRAS]}"
  fi
else
  echo "::error title=install::expected own or none"
  exit 2
fi
echo "program=$program" >>"$GITHUB_OUTPUT"
