"""ykman as the other client, in one process: each line of standard input is a request, each of standard output its answer.

{"args": [...], "input": "...", "at": 59}
    runs a command of ykman's as its own main() does -> {"status": 0, "out": "...", "err": "..."}
{"reader": "...", "password": null, "at": 59}
    what yubikit sees of the key -> {"version", "serial", "device", "locked", "accounts": [...]}

`at` is the Unix time that ykman takes for now; null for the real one.
"""

import json
import sys
import time

import ykman.oath
import ykman.pcsc
import yubikit.oath
from click.testing import CliRunner
from ykman._cli.__main__ import cli
from ykman._cli.util import CliFail
from ykman.oath import calculate_steam, is_steam
from yubikit.core.smartcard import SmartCardConnection
from yubikit.oath import OATH_TYPE, OathSession
from yubikit.support import read_info

# ykman ends other programs that hold a card. These would not be the test's.
ykman.pcsc.kill_scdaemon = ykman.pcsc.kill_yubikey_agent = lambda: False


def set_time(at):
    clock = time.time if at is None else lambda: at
    yubikit.oath.time = ykman.oath.time = clock


def command(request):
    set_time(request["at"])
    result = CliRunner().invoke(cli, request["args"], input=request["input"], obj={}, windows_expand_args=False)
    status, err = result.exit_code, result.stderr
    if isinstance(result.exception, CliFail):
        status = result.exception.status
    if result.exception is not None:
        err += f"{type(result.exception).__name__}: {result.exception}"
    return {"status": status, "out": result.stdout, "err": err}


def account(session, credential, code, at):
    hotp = credential.oath_type == OATH_TYPE.HOTP
    if is_steam(credential):
        value = calculate_steam(session, credential, at)
    elif credential.touch_required:
        value = session.calculate_code(credential, at).value
    else:
        # That of a counter would move it.
        value = code and code.value
    return {
        "id": credential.id.decode(),
        "name": f"{credential.issuer}:{credential.name}" if credential.issuer else credential.name,
        "issuer": credential.issuer,
        "kind": credential.oath_type.name.lower(),
        "period": credential.period,
        # ykman cannot know it of a counter's.
        "touch": None if hotp else credential.touch_required,
        "code": value,
    }


def state(request):
    at = request["at"]
    (device,) = ykman.pcsc.list_devices(request["reader"])
    with device.open_connection(SmartCardConnection) as connection:
        serial = read_info(connection, device.pid).serial
        session = OathSession(connection)
        locked = session.locked
        if locked:
            session.validate(session.derive_key(request["password"]))
        listed = {(c.id, c.oath_type) for c in session.list_credentials()}
        codes = session.calculate_all(at)
        assert listed == {(c.id, c.oath_type) for c in codes}, "LIST and CALCULATE ALL differ"
        return {
            "version": "%d.%d.%d" % session.version,
            "serial": serial,
            "device": session.device_id,
            "locked": locked,
            "accounts": [account(session, credential, code, at) for credential, code in codes.items()],
        }


for line in sys.stdin:
    request = json.loads(line)
    answer = command(request) if "args" in request else state(request)
    print(json.dumps(answer), flush=True)
