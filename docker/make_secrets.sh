#!/bin/sh
# Makes the passwords and keys of compose.yaml, each once: `docker/make_secrets.sh [FOLDER]`, docker/secrets by default.
#
# The folder is for its owner alone (0700). The files in it are readable (0444): compose mounts them as they are, and
# the services that read them have users of their own, who cannot be named on this side.
set -eu
umask 077
folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
chmod 700 "$folder"

# letters and digits, so that nothing has to be quoted anywhere
word() { LC_ALL=C tr -dc 'A-Za-z0-9' < /dev/urandom | head -c "$1"; }

keep() { # NAME CONTENT: whole or not at all, and never over one that is there
  if [ ! -e "$folder/$1" ]; then
    printf '%s\n' "$2" > "$folder/.$1.new"
    chmod 444 "$folder/.$1.new"
    mv "$folder/.$1.new" "$folder/$1"
  fi
}

for name in postgres_password mlflow_database_password prefect_database_password webhook_secret; do
  keep "$name" "$(word 40)"
done
keep prefect_auth "gate:$(word 40)"
keep webhook_encryption_key "$(head -c 32 /dev/urandom | base64 | tr '+/' '-_')" # as Fernet wants it
if [ ! -e "$folder/object_store_identities" ] || [ ! -e "$folder/object_store_credentials" ]; then
  rm -f "$folder/object_store_identities" "$folder/object_store_credentials"
  key=$(word 20) secret=$(word 40)
  keep object_store_credentials "[default]
aws_access_key_id = $key
aws_secret_access_key = $secret"
  keep object_store_identities "{\"identities\": [{\"name\": \"mlflow\", \"credentials\": [{\"accessKey\": \"$key\",
  \"secretKey\": \"$secret\"}], \"actions\": [\"Admin\", \"Read\", \"Write\", \"List\", \"Tagging\"]}]}"
fi
echo "secrets in $folder"
