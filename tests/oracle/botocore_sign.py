"""botocore's own answer to questions of signing: a JSON list of questions a line in, the list of their answers a line out.

{"kind": "v4", "service", "region", "method", "url", "headers", "body", "payload", ...}
    SigV4Auth, or S3SigV4Auth for S3 -> {"canonical_request", "headers": those that the signer sets}
{"kind": "v2-header" | "v2-query", "method", "url", "resource", "headers", "expires", ...}
    HmacV1Auth or HmacV1QueryAuth -> {"string_to_sign", "signature"}
{"kind": "post-v4" | "post-v2", "region", "fields", "conditions", "expires", ...}
    S3SigV4PostAuth or HmacV1PostAuth -> {"fields": pairs in order, "policy": the JSON}
{"kind": "bench-v4", "count", and all of v4}
    the same -> {"microseconds"}: the time of one, best of several rounds of "count"

All have "access_key_id", "secret_access_key", "session_token" and "time". What fails answers {"error"}.
"""

import base64
import datetime
import json
import sys
import time
import types
from email.utils import formatdate
from urllib.parse import parse_qs, urlsplit

import botocore.auth
from botocore.auth import (
    HmacV1Auth,
    HmacV1PostAuth,
    HmacV1QueryAuth,
    S3SigV4Auth,
    S3SigV4PostAuth,
    SigV4Auth,
)
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

OWN = ("x-amz-date", "x-amz-security-token", "x-amz-content-sha256", "authorization")
S3_SERVICES = ("s3", "s3-object-lambda", "s3-outposts")

now = 0
seen = {}


def record(owner, name):
    original = getattr(owner, name)

    def recorded(self, *args, **kwargs):
        seen[name] = original(self, *args, **kwargs)
        return seen[name]

    setattr(owner, name, recorded)


def request_of(question, **more):
    request = AWSRequest(method=question["method"], url=question["url"], **more)
    for name, value in question["headers"]:
        # Appends, as names may repeat.
        request.headers[name] = value
    return request


def version_4(question, credentials):
    signer = S3SigV4Auth if question["service"] in S3_SERVICES else SigV4Auth
    request = request_of(question, data=question["body"].encode())
    if question["payload"] == "unsigned":
        request.context["payload_signing_enabled"] = False
        config = types.SimpleNamespace(s3={"payload_signing_enabled": False})
        request.context["client_config"] = config
    elif question["payload"] == "unsigned-trailer":
        request.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
    signer(credentials, question["service"], question["region"]).add_auth(request)
    headers = {name.lower(): value for name, value in request.headers.items() if name.lower() in OWN}
    if credentials.token is None:
        # Not the signer's.
        headers.pop("x-amz-security-token", None)
    return {"canonical_request": seen["canonical_request"], "headers": headers}


def bench(question, credentials):
    best = float("inf")
    for _ in range(7):
        start = time.perf_counter()
        for _ in range(question["count"]):
            version_4(question, credentials)
        best = min(best, time.perf_counter() - start)
    return {"microseconds": best / question["count"] * 1e6}


def version_2(question, credentials):
    request = request_of(question, auth_path=question["resource"])
    if question["kind"] == "v2-header":
        HmacV1Auth(credentials).add_auth(request)
        signature = request.headers["Authorization"]
    else:
        HmacV1QueryAuth(credentials, question["expires"]).add_auth(request)
        query = parse_qs(urlsplit(request.url).query)
        signature = query["Signature"][0]
        assert query["Expires"] == [str(now + question["expires"])]
    return {"string_to_sign": seen["canonical_string"], "signature": signature}


def post(question, credentials):
    request = AWSRequest(method="POST", url="https://examplebucket.s3.amazonaws.com/")
    expiration = datetime.datetime.fromtimestamp(now + question["expires"], datetime.timezone.utc)
    policy = {"expiration": expiration.strftime(botocore.auth.ISO8601), "conditions": question["conditions"]}
    request.context["s3-presign-post-fields"] = dict(question["fields"])
    request.context["s3-presign-post-policy"] = policy
    if question["kind"] == "post-v4":
        S3SigV4PostAuth(credentials, "s3", question["region"]).add_auth(request)
    else:
        HmacV1PostAuth(credentials).add_auth(request)
    fields = request.context["s3-presign-post-fields"]
    return {"fields": list(fields.items()), "policy": base64.b64decode(fields["policy"]).decode()}


def answer(question):
    global now
    now = question["time"]
    credentials = Credentials(
        question["access_key_id"], question["secret_access_key"], question["session_token"]
    )
    kind = {"v4": version_4, "bench": bench, "v2": version_2, "post": post}[question["kind"].split("-")[0]]
    try:
        return kind(question, credentials)
    except Exception as error:  # noqa: BLE001: whatever it is, the test shows it
        return {"error": f"{type(error).__name__}: {error}"}


def main():
    record(SigV4Auth, "canonical_request")
    record(HmacV1Auth, "canonical_string")
    botocore.auth.get_current_datetime = lambda *_, **__: datetime.datetime.fromtimestamp(
        now, datetime.timezone.utc
    ).replace(tzinfo=None)
    botocore.auth.formatdate = lambda *_, **__: formatdate(now, usegmt=True)
    botocore.auth.time = types.SimpleNamespace(time=lambda: now)
    for line in sys.stdin:
        print(json.dumps([answer(question) for question in json.loads(line)]), flush=True)


if __name__ == "__main__":
    main()
