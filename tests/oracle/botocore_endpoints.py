"""Every endpoint of AWS that botocore knows: a line of host, name and region in credential scopes, separated by spaces.

Each service in each region, plain, with FIPS, over IPv6, and both; and the fixed prefixes that operations put before a host.
"""

import sys

import botocore.session
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import EndpointProviderError

# What rules ask for besides.
MORE = {
    "s3": {"Bucket": "bucket"},
    "s3control": {"AccountId": "123456789012", "RequiresAccountId": True},
    "sts": {"UseGlobalEndpoint": False},
}

session = botocore.session.get_session()
loader = session.get_component("data_loader")
partitions = loader.load_data("partitions")
# `aws-global` and the like are no regions.
regions = [name for p in partitions["partitions"] for name in p["regions"] if not name.endswith("-global")]
lines = set()
for service in session.get_available_services():
    model = session.get_service_model(service)
    if model.metadata.get("signatureVersion") not in ("v4", "s3v4", "s3"):
        continue
    rules = loader.load_service_model(service, "endpoint-rule-set-1")
    provider = EndpointProvider(rules, partitions)
    prefixes = {""}
    for name in model.operation_names:
        prefix = (model.operation_model(name).endpoint or {}).get("hostPrefix", "")
        prefixes |= {prefix} if "{" not in prefix else set()
    for region in regions:
        for fips in (False, True):
            for dual_stack in (False, True):
                known = {"Region": region, "UseFIPS": fips, "UseDualStack": dual_stack}
                known = {name: value for name, value in known.items() if name in rules["parameters"]}
                try:
                    endpoint = provider.resolve_endpoint(**known, **MORE.get(service, {}))
                except EndpointProviderError:
                    # Not there, or asks for a resource.
                    continue
                schemes = endpoint.properties.get("authSchemes") or [{"name": "sigv4"}]
                schemes = [scheme for scheme in schemes if scheme["name"] == "sigv4"]
                for scheme in schemes:
                    name = scheme.get("signingName") or model.signing_name
                    signed = scheme.get("signingRegion") or region
                    host = endpoint.url.split("://")[1].split("/")[0]
                    lines |= {f"{prefix}{host} {name} {signed}" for prefix in prefixes}
sys.stdout.write("\n".join(sorted(lines)) + "\n")
