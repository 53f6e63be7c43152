#!/bin/sh
# Gates one model version, in any CI. Exit status: that of `finetune-gate run`.
#
#   MODEL_VERSION=7 sh gate.sh
#
# Leaves in RESULTS (gate-results): gate.xml (JUnit), gate.html, gate.md. Where nothing could be decided, gate.xml says
# that, so that a CI which looks at test results alone is not green either.
set -u

version=${MODEL_VERSION:-}
gate_file=${GATE_FILE:-gate.yaml}
results=${RESULTS:-gate-results}

mkdir -p "$results" || exit 4
rm -f "$results/gate.xml" "$results/gate.html" "$results/gate.md"

case $version in
  '' | *[!0-9]*)
    # whoever can start a job can set its variables
    echo "gate: MODEL_VERSION must be a number" >&2
    status=2
    ;;
  *)
    status=0
    finetune-gate run "$gate_file" --version "$version" --once --quiet \
      --report "junit=$results/gate.xml" --report "$results/gate.html" --report "$results/gate.md" || status=$?
    ;;
esac

if [ ! -f "$results/gate.xml" ]; then
  # a promotion that cannot be shown is none
  [ "$status" -ne 0 ] || status=4
  printf '%s\n' \
    '<?xml version="1.0" encoding="utf-8"?>' \
    '<testsuites><testsuite name="finetune-gate" tests="1" errors="1" failures="0">' \
    '<testcase classname="finetune-gate" name="decision">' \
    "<error type=\"undecided\" message=\"no decision: exit status $status\"/>" \
    '</testcase></testsuite></testsuites>' > "$results/gate.xml"
fi
exit "$status"
