"""Calls STS and IAM with boto3, one a line: a JSON object comes in, its answer or AWS's error goes out.

    {"endpoint": ..., "service": "sts", "operation": "get_session_token", "parameters": {...},
     "id": ..., "secret": ..., "token": null, "attempts": 1, "body_suffix": ""}

`body_suffix` is added to the body after it was signed.
"""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

for line in sys.stdin:
    ask = json.loads(line)
    session = boto3.session.Session(
        aws_access_key_id=ask["id"], aws_secret_access_key=ask["secret"], aws_session_token=ask.get("token")
    )
    client = session.client(
        ask["service"],
        region_name="us-east-1" if ask["service"] == "iam" else "eu-west-1",
        endpoint_url=ask["endpoint"],
        # What is wrong is to be refused by the server.
        config=Config(
            retries={"total_max_attempts": ask.get("attempts", 1), "mode": "standard"},
            read_timeout=5,
            parameter_validation=False,
        ),
    )
    suffix = ask.get("body_suffix")
    if suffix:

        def change(request, **_):
            body = request.body if isinstance(request.body, bytes) else request.body.encode()
            request.body = body + suffix.encode()
            request.headers["Content-Length"] = str(len(request.body))

        client.meta.events.register("before-send", change)
    try:
        answer = getattr(client, ask["operation"])(**ask["parameters"])
        del answer["ResponseMetadata"]
        out = {"ok": answer}
    except ClientError as error:
        out = {"code": error.response["Error"]["Code"], "message": error.response["Error"]["Message"]}
    except Exception as error:  # whatever a broken network makes of it
        out = {"code": type(error).__name__, "message": str(error)}
    print(json.dumps(out, default=lambda value: value.isoformat() if hasattr(value, "isoformat") else str(value)))
    sys.stdout.flush()
