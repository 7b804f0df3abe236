"""botocore's own answer to a presign question: one JSON object a line in, one a line out.

A question is {"method", "endpoint" (URL or null for AWS), "region", "path_style", "bucket", "key", "access_key_id",
"secret_access_key", "session_token", "time", "expires", "version_id", "query", "headers"}; the answer is
{"canonical_request", "string_to_sign", "signature", "url"} or {"error"}.

GET, HEAD, PUT and DELETE without headers of their own go through a real S3 client, which finds host, path and
parameters by itself; whatever a client has no name for goes to its signer, with the path quoted by urllib.

{"form": {"operation", "parameters", "region", "endpoint", "addressing", "accelerate", "dual_stack", "fips"}, "access_key_id",
"secret_access_key", "session_token", "time", "expires"} goes through a real client whatever it is, which chooses the endpoint
from the bucket or ARN among the parameters.

{"bench": N} answers {"microseconds"}: the time of one generate_presigned_url, best of several rounds of N.
"""

import datetime
import json
import sys
import time
from urllib.parse import quote, urlsplit

import botocore.auth
import botocore.session
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

OPERATIONS = {"GET": "get_object", "HEAD": "head_object", "PUT": "put_object", "DELETE": "delete_object"}
ARGUMENTS = {
    "response-cache-control": "ResponseCacheControl",
    "response-content-disposition": "ResponseContentDisposition",
    "response-content-encoding": "ResponseContentEncoding",
    "response-content-language": "ResponseContentLanguage",
    "response-content-type": "ResponseContentType",
}

session = botocore.session.Session()
now = 0
seen = {}
clients = {}


def record(name):
    original = getattr(botocore.auth.SigV4Auth, name)

    def recorded(self, *args):
        seen[name] = original(self, *args)
        return seen[name]

    setattr(botocore.auth.SigV4Auth, name, recorded)


def client(question):
    which = tuple(
        question[name]
        for name in ("endpoint", "region", "path_style", "access_key_id", "secret_access_key", "session_token")
    )
    if which not in clients:
        endpoint, region, path_style, access_key_id, secret, token = which
        clients[which] = session.create_client(
            "s3",
            region_name=region,
            endpoint_url=endpoint,
            aws_access_key_id=access_key_id,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(
                signature_version="s3v4",
                request_checksum_calculation="when_required",
                s3={
                    "addressing_style": "path" if path_style or endpoint else "virtual",
                    "us_east_1_regional_endpoint": "regional",
                },
            ),
        )
    return clients[which]


def by_form(question):
    form = question["form"]
    s3 = {"addressing_style": form["addressing"], "us_east_1_regional_endpoint": "regional"}
    if form["accelerate"]:
        s3["use_accelerate_endpoint"] = True
    # Directory buckets too are asked with the identity itself: a session would want a server.
    s3["disable_s3_express_session_auth"] = True
    made = session.create_client(
        "s3",
        region_name=form["region"],
        endpoint_url=form["endpoint"],
        aws_access_key_id=question["access_key_id"],
        aws_secret_access_key=question["secret_access_key"],
        aws_session_token=question["session_token"],
        config=Config(
            signature_version="s3v4",
            request_checksum_calculation="when_required",
            use_dualstack_endpoint=form["dual_stack"],
            use_fips_endpoint=form["fips"],
            s3=s3,
        ),
    )
    return made.generate_presigned_url(form["operation"], form["parameters"], question["expires"])


def by_client(question):
    arguments = {"Bucket": question["bucket"], "Key": question["key"]}
    if question["version_id"] is not None:
        arguments["VersionId"] = question["version_id"]
    for name, value in question["query"]:
        arguments[ARGUMENTS[name]] = value
    operation = OPERATIONS[question["method"]]
    return client(question).generate_presigned_url(operation, arguments, question["expires"])


def by_signer(question):
    path = "/" + quote(question["key"], safe="/~")
    if question["endpoint"] or question["path_style"] or "." in question["bucket"]:
        path = "/" + question["bucket"] + path
        base = question["endpoint"] or client(question).meta.endpoint_url
    else:
        base = client(question).meta.endpoint_url.replace("://", "://" + question["bucket"] + ".")
    params = dict(question["query"])
    if question["version_id"] is not None:
        params["versionId"] = question["version_id"]
    credentials = Credentials(
        question["access_key_id"], question["secret_access_key"], question["session_token"]
    )
    request = AWSRequest(
        method=question["method"], url=base + path, params=params, headers=dict(question["headers"])
    )
    S3SigV4QueryAuth(credentials, "s3", question["region"], question["expires"]).add_auth(request)
    return request.url


def answer(question):
    global now
    now = question["time"]
    if "form" in question:
        return recorded(by_form(question))
    # Not every operation of the client takes every parameter.
    takes = question["method"] == "GET" or (
        question["method"] in OPERATIONS
        and not question["query"]
        and (question["version_id"] is None or question["method"] != "PUT")
    )
    named = all(name in ARGUMENTS for name, _ in question["query"])
    return recorded(by_client(question) if takes and named and not question["headers"] else by_signer(question))


def recorded(url):
    return {
        "canonical_request": seen["canonical_request"],
        "string_to_sign": seen["string_to_sign"],
        "signature": seen["signature"],
        "url": url,
    }


def bench(count):
    question = {
        "endpoint": None,
        "region": "us-east-1",
        "path_style": False,
        "access_key_id": "AKIAIOSFODNN7EXAMPLE",
        "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "session_token": None,
    }
    s3 = client(question)
    arguments = {"Bucket": "examplebucket", "Key": "test.txt"}
    best = float("inf")
    for _ in range(7):
        start = time.perf_counter()
        for _ in range(count):
            s3.generate_presigned_url("get_object", arguments, 86400)
        best = min(best, time.perf_counter() - start)
    return {"microseconds": best / count * 1e6}


def main():
    for name in ("canonical_request", "string_to_sign", "signature"):
        record(name)
    real_time = botocore.auth.get_current_datetime
    botocore.auth.get_current_datetime = lambda *_, **__: datetime.datetime.fromtimestamp(
        now, datetime.timezone.utc
    ).replace(tzinfo=None)
    for line in sys.stdin:
        question = json.loads(line)
        if "bench" in question:
            botocore.auth.get_current_datetime = real_time
            reply = bench(question["bench"])
        else:
            try:
                reply = answer(question)
            except Exception as error:  # noqa: BLE001: whatever it is, the test shows it
                reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
