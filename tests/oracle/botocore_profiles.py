"""What botocore makes of profiles: a line of JSON in, a line out.

In: {"read": [{"config", "credentials", "profile"}], "begin": [the same], "endpoints": [{"service", "region", "fips",
"dual_stack", "legacy"}]}. Out, for each of them, in the same lists:

read       what the profile says (`get_scoped_config`), and all names; null for files that botocore refuses
begin      the access key id with which it begins and the AssumeRole calls that follow, with a STS that is none; or null
endpoints  URL and region of the signature
"""

import datetime
import getpass
import json
import os
import sys
import tempfile

# Before botocore takes it for its own.
getpass.getpass = lambda prompt: "123456"

import botocore.credentials  # noqa: E402
import botocore.session  # noqa: E402
from botocore.endpoint_provider import EndpointProvider  # noqa: E402
from botocore.exceptions import BotoCoreError  # noqa: E402

folder = tempfile.TemporaryDirectory()
config, credentials = (os.path.join(folder.name, name) for name in ("config", "credentials"))
os.environ.update(AWS_CONFIG_FILE=config, AWS_SHARED_CREDENTIALS_FILE=credentials)
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


def session_of(question):
    for path, name in ((config, "config"), (credentials, "credentials")):
        with open(path, "wb") as file:
            file.write(question[name].encode())
    return botocore.session.Session(profile=question["profile"])


def read(question):
    session = session_of(question)
    try:
        return {"settings": session.get_scoped_config(), "names": session.available_profiles}
    except BotoCoreError:
        return None


class Sts:
    """Notes who asks for what, and hands out keys by which the asking can be followed."""

    calls = []

    def __init__(self, key):
        self.key = key

    def assume_role(self, **given):
        key = f"ASIA{len(self.calls)}"
        self.calls.append({"by": self.key, "key": key, **given})
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
        made = {"AccessKeyId": key, "SecretAccessKey": "s", "SessionToken": "t", "Expiration": end}
        return {"Credentials": made, "AssumedRoleUser": {"AssumedRoleId": "a:b", "Arn": "arn:aws:sts::1:assumed-role/a/b"}}


def client_creator(session, region_name):
    return lambda service, **given: Sts(given["aws_access_key_id"])


botocore.credentials._get_client_creator = client_creator


def begin(question):
    Sts.calls = []
    try:
        found = session_of(question).get_credentials()
        found = found and found.get_frozen_credentials()
    except (BotoCoreError, KeyError, RecursionError):
        return None
    if found is None:
        return None
    # From the last one back to who began.
    key, calls = found.access_key, []
    while made := next((call for call in Sts.calls if call["key"] == key), None):
        calls.insert(0, {name: made.get(name) for name in ("RoleArn", "ExternalId", "DurationSeconds", "SerialNumber")})
        key = made["by"]
    return {"key": key, "roles": calls}


loader = botocore.session.Session().get_component("data_loader")
partitions = loader.load_data("partitions")
rules = {
    service: EndpointProvider(loader.load_service_model(service, "endpoint-rule-set-1"), partitions)
    for service in ("sts", "iam")
}


def endpoint(question):
    given = {"UseFIPS": question["fips"], "UseDualStack": question["dual_stack"]}
    if question["service"] == "sts":
        given["UseGlobalEndpoint"] = question["legacy"]
    found = rules[question["service"]].resolve_endpoint(Region=question["region"], **given)
    schemes = found.properties.get("authSchemes", [])
    region = next((scheme["signingRegion"] for scheme in schemes if "signingRegion" in scheme), question["region"])
    return {"url": found.url, "region": region}


questions = json.loads(sys.stdin.readline())
answers = {
    "read": [read(question) for question in questions.get("read", [])],
    "begin": [begin(question) for question in questions.get("begin", [])],
    "endpoints": [endpoint(question) for question in questions.get("endpoints", [])],
    "regions": [region for partition in partitions["partitions"] for region in partition["regions"]],
}
print(json.dumps(answers), flush=True)
