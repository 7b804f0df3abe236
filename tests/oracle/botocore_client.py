"""What a real S3 client of botocore makes: a JSON list of questions a line in, the list of their answers a line out.

All have "signature_version" ("s3" or "s3v4"), "endpoint" (URL or null), "region", "addressing" ("path" or "virtual"),
"access_key_id", "secret_access_key", "session_token", "time" and "expires".

{"operation", "parameters"} -> {"url"}, of generate_presigned_url
{"bucket", "key", "fields", "conditions"} -> {"url", "fields": pairs in order}, of generate_presigned_post
"""

import datetime
import json
import sys
import types

import botocore.auth
import botocore.session
import botocore.signers
from botocore.config import Config

now = 0
session = botocore.session.Session()


def client(question):
    return session.create_client(
        "s3",
        region_name=question["region"],
        endpoint_url=question["endpoint"],
        aws_access_key_id=question["access_key_id"],
        aws_secret_access_key=question["secret_access_key"],
        aws_session_token=question["session_token"],
        config=Config(
            signature_version=question["signature_version"],
            request_checksum_calculation="when_required",
            s3={"addressing_style": question["addressing"], "us_east_1_regional_endpoint": "regional"},
        ),
    )


def answer(question):
    global now
    now = question["time"]
    made = client(question)
    if "operation" in question:
        operation, parameters = question["operation"], question["parameters"]
        return {"url": made.generate_presigned_url(operation, parameters, question["expires"])}
    form = made.generate_presigned_post(
        question["bucket"],
        question["key"],
        Fields=dict(question["fields"]),
        Conditions=question["conditions"],
        ExpiresIn=question["expires"],
    )
    return {"url": form["url"], "fields": list(form["fields"].items())}


def main():
    def utc(*_, **__):
        return datetime.datetime.fromtimestamp(now, datetime.timezone.utc).replace(tzinfo=None)

    botocore.auth.get_current_datetime = utc
    botocore.signers.get_current_datetime = utc
    botocore.auth.time = types.SimpleNamespace(time=lambda: now)
    for line in sys.stdin:
        print(json.dumps([answer(question) for question in json.loads(line)]), flush=True)


if __name__ == "__main__":
    main()
