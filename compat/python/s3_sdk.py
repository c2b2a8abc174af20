"""boto3: our token is the session's, and the keys that sign are none."""

import gzip

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from compat import main

BUCKET = "reports"


def program(base, key, direct):
    config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1})
    keys = dict(aws_access_key_id="AKIDNONE", aws_secret_access_key="none", aws_session_token=key)
    if direct:
        secret = key.split(" ")
        keys = dict(aws_access_key_id=secret[0], aws_secret_access_key=secret[1], aws_session_token=secret[2])
    s3 = boto3.client("s3", endpoint_url=base, region_name="eu-west-1", config=config, **keys)

    def kept(name, content, **more):
        s3.put_object(Bucket=BUCKET, Key=name, Body=content, **more)
        return s3.get_object(Bucket=BUCKET, Key=name)["Body"].read() == content

    packed = gzip.compress(b"a line of a log\n" * 500, mtime=0)
    how = {"ContentEncoding": "gzip", "CacheControl": "max-age=60", "ContentType": "text/plain"}
    plain = kept("2026/Q1 report+final (ü).csv", bytes(range(256)) * 5000)
    compressed = kept("log.gz", packed, **how)
    head = s3.head_object(Bucket=BUCKET, Key="log.gz")
    try:
        s3.get_object(Bucket=BUCKET, Key="missing")
        missing = ""
    except ClientError as e:
        missing = e.response["Error"]["Code"]
    return {
        "plain": plain,
        "compressed": compressed,
        "percent": kept("100%.txt", b"all of it"),
        "odd": kept("a=b&c;d/%zz.txt", b"odd"),
        "range": s3.get_object(Bucket=BUCKET, Key="log.gz", Range="bytes=2-9")["Body"].read() == packed[2:10],
        "head": [head["ContentLength"] == len(packed), head["ContentEncoding"], head["CacheControl"], head["ContentType"]],
        "listed": [o["Key"] for o in s3.list_objects_v2(Bucket=BUCKET, Prefix="2026/")["Contents"]],
        "missing": missing,
    }


main(program)
