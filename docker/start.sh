#!/bin/sh
# What the image starts: secrets from files, then the program.
#
#   start run /srv/gates/gate.yaml 7      finetune-gate run ...
#   start prefect worker start ...        a first word that is prefect, mlflow, python or sh is the program itself
#
# For every name below, NAME_FILE names a file whose content becomes NAME: that is how Docker and Kubernetes hand over
# secrets. FINETUNE_GATE_WEBHOOK_SECRET_FILE is not among them: `finetune-gate serve` reads it itself.
set -eu

for name in \
  MLFLOW_TRACKING_USERNAME MLFLOW_TRACKING_PASSWORD MLFLOW_TRACKING_TOKEN \
  MLFLOW_BACKEND_STORE_URI MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY MLFLOW_FLASK_SERVER_SECRET_KEY \
  PREFECT_API_KEY PREFECT_API_AUTH_STRING PREFECT_SERVER_API_AUTH_STRING PREFECT_SERVER_DATABASE_CONNECTION_URL \
  PGPASSWORD AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY OPENAI_API_KEY HF_TOKEN GITHUB_TOKEN; do
  file=$(printenv "${name}_FILE" || true)
  [ -n "$file" ] || continue
  if [ -n "$(printenv "$name" || true)" ]; then
    echo "start: $name and ${name}_FILE are both set; unset one of them" >&2
    exit 2
  fi
  if ! secret=$(cat "$file" 2>/dev/null); then
    echo "start: ${name}_FILE: $file cannot be read by user $(id -u); mount the secret so that this user may read it" >&2
    exit 2
  fi
  if [ -z "$secret" ]; then
    echo "start: ${name}_FILE: $file is empty; put the secret into it" >&2
    exit 2
  fi
  export "$name=$secret"
  unset "${name}_FILE"
done

# a volume that is not writable is for `doctor` and the health check to tell, in their words
mkdir -p "$HOME" "$FINETUNE_GATE_HOME" "$PREFECT_HOME" 2>/dev/null || true

case "${1:-}" in
  finetune-gate | prefect | mlflow | python | sh) exec "$@" ;;
  *) exec finetune-gate "$@" ;;
esac
