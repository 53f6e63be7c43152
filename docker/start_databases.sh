#!/bin/sh
# Run once by the PostgreSQL image, while its data folder is new: a role and a database each for MLflow and Prefect,
# which cannot read each other's. Passwords come from files, and are in no argument and no environment.
for name in mlflow prefect; do
  psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --set name="$name" --username "${POSTGRES_USER:-postgres}" \
    --set file="/run/secrets/${name}_database_password" --dbname postgres <<'SQL' || exit 1
\set password `cat :'file'`
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
