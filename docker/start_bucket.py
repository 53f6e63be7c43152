"""Make the bucket of MLflow's artifacts, unless it is there: `start_bucket.py NAME`. Credentials are boto3's."""

from __future__ import annotations

import os
import sys
import time

WITHIN_S = 60.0


def main(name: str) -> None:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    settings = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 1})
    store = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"], config=settings)
    until = time.monotonic() + WITHIN_S
    while True:
        try:
            if name not in [bucket["Name"] for bucket in store.list_buckets()["Buckets"]]:
                store.create_bucket(Bucket=name)
            return
        except (BotoCoreError, ClientError) as error:
            if time.monotonic() >= until:
                raise SystemExit(f"bucket {name}: {error}") from error
            time.sleep(2)


if __name__ == "__main__":
    main(*sys.argv[1:])
