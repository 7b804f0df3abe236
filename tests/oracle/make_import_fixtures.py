#!/usr/bin/env python3
"""Writes native-host/tests/data/import: exports of other apps, made by independent implementations.

Needs `cryptography`, `argon2-cffi`, `qrcode`, `pillow` and `protobuf`. Every secret and password is invented here; salts
and nonces come from a seeded generator, so that the files are the same each time (pictures: with the same versions).
"""

import base64
import hashlib
import json
import random
import sys
from pathlib import Path
from urllib.parse import quote

import qrcode
from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives import hashes, hmac, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from PIL import Image, ImageOps

OUT = Path(__file__).parents[2] / "native-host/tests/data/import"
PASSWORD = "correct horse ü 🔑"
RANDOM = random.Random("keyfob import fixtures")

# kind, issuer, account, hash, digits, period, counter
ACCOUNTS = [
    ("totp", "Amazon Web Services", "root@123456789012", "SHA1", 6, 30, 0),
    ("totp", "GitHub", "änn", "SHA256", 8, 60, 0),
    ("hotp", "Bank", "card 7", "SHA512", 6, 0, 42),
    ("steam", "Steam", "gamer", "SHA1", 5, 30, 0),
]
# What Google Authenticator can hold.
GOOGLE = [
    ("totp", "Amazon Web Services", "root@123456789012", "SHA1", 6, 30, 0),
    ("totp", "GitHub", "änn", "SHA256", 8, 30, 0),
    ("hotp", "Bank", "card 7", "SHA512", 6, 0, 42),
    ("totp", "", "nobody", "SHA1", 6, 30, 0),
]


def secret(account):
    size = {"SHA1": 20, "SHA256": 32, "SHA512": 64}[account[3]]
    return hashlib.sha512(("invented secret of " + account[2]).encode()).digest()[:size]


def base32(account):
    return base64.b32encode(secret(account)).decode().rstrip("=")


def b64(data):
    return base64.b64encode(data).decode()


def uri(account):
    kind, issuer, name, algorithm, digits, period, counter = account
    label = quote(f"{issuer}:{name}" if issuer else name, safe="")
    moving = f"counter={counter}" if kind == "hotp" else f"period={period}"
    type_ = "totp" if kind == "steam" else kind
    text = f"otpauth://{type_}/{label}?secret={base32(account)}&algorithm={algorithm}&digits={digits}&{moving}"
    return text + (f"&issuer={quote(issuer)}" if issuer else "")


def write(name, content):
    content = content if isinstance(content, bytes) else content.encode()
    (OUT / name).write_bytes(content)


def write_json(name, value):
    write(name, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def uris():
    lines = ["# Kept by hand.", "", *map(uri, ACCOUNTS), ""]
    write("uris.txt", "\n".join(lines))
    write("google.txt", "\n".join(map(uri, GOOGLE)) + "\n")


# Google Authenticator


def migration_payload():
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="migration.proto", package="m", syntax="proto3")
    account = file.message_type.add(name="Account")
    types = [field.TYPE_BYTES, field.TYPE_STRING, field.TYPE_STRING, *[field.TYPE_INT32] * 3, field.TYPE_INT64]
    names = ["secret", "name", "issuer", "algorithm", "digits", "type", "counter"]
    for number, (name, type_) in enumerate(zip(names, types), 1):
        account.field.add(name=name, number=number, type=type_, label=field.LABEL_OPTIONAL)
    payload = file.message_type.add(name="Payload")
    payload.field.add(
        name="accounts", number=1, type=field.TYPE_MESSAGE, type_name=".m.Account", label=field.LABEL_REPEATED
    )
    for number, name in enumerate(["version", "batch_size", "batch_index", "batch_id"], 2):
        payload.field.add(name=name, number=number, type=field.TYPE_INT32, label=field.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("m.Payload"))


def migration(accounts, size=1, index=0):
    payload = migration_payload()(version=1, batch_size=size, batch_index=index, batch_id=-123456789)
    for account in accounts:
        kind, issuer, name, algorithm, digits, _, counter = account
        payload.accounts.add(
            secret=secret(account),
            name=f"{issuer}:{name}" if issuer else name,
            issuer=issuer,
            algorithm={"SHA1": 1, "SHA256": 2, "SHA512": 3}[algorithm],
            digits={6: 1, 8: 2}[digits],
            type={"hotp": 1, "totp": 2}[kind],
            counter=counter,
        )
    return "otpauth-migration://offline?data=" + quote(b64(payload.SerializeToString()), safe="")


def code(text, scale=5, border=4):
    made = qrcode.QRCode(box_size=scale, border=border, error_correction=qrcode.constants.ERROR_CORRECT_M)
    made.add_data(text)
    made.make(fit=True)
    return made.make_image().get_image().convert("L")


def side_by_side(images, mode="L"):
    width = sum(image.width for image in images)
    sheet = Image.new(mode, (width, max(image.height for image in images)), "white")
    x = 0
    for image in images:
        sheet.paste(image, (x, 0))
        x += image.width
    return sheet


def google():
    write("google-whole.txt", migration(GOOGLE) + "\n")
    parts = [migration(GOOGLE[:2], 2, 0), migration(GOOGLE[2:], 2, 1)]
    write("google-part-2.txt", parts[1] + "\n")
    write("google-parts.txt", "\n".join(parts) + "\n")
    side_by_side([code(part) for part in parts]).save(OUT / "google-parts.png", optimize=True)
    code(parts[0]).save(OUT / "google-part-1.png", optimize=True)


def pictures():
    one = code(uri(ACCOUNTS[0]))
    one.convert("1").save(OUT / "one.png", optimize=True)
    # A dark theme, cut out closely, with an alpha channel.
    ImageOps.invert(code(uri(ACCOUNTS[0]), 4, 1)).convert("RGBA").save(OUT / "dark.png", optimize=True)
    # White is transparent.
    clear = Image.new("LA", one.size, (0, 0))
    clear.paste((0, 255), mask=ImageOps.invert(one))
    clear.save(OUT / "transparent.png", optimize=True)
    # A photograph: turned, grey, unevenly lit, blurred by its compression.
    photo = code(uri(ACCOUNTS[0]), 7).rotate(7, expand=True, fillcolor=200, resample=Image.Resampling.BICUBIC)
    light = Image.linear_gradient("L").resize(photo.size).point(lambda shade: 120 + shade // 3)
    photo = Image.composite(light, Image.new("L", photo.size, 30), photo.point(lambda s: s))
    photo.convert("RGB").save(OUT / "photo.jpg", quality=60)
    photo.convert("RGB").save(OUT / "photo-progressive.jpg", quality=60, progressive=True)
    photo.save(OUT / "photo-grey.jpg", quality=60)
    photo.convert("CMYK").save(OUT / "photo-cmyk.jpg", quality=60)
    side_by_side([code(uri(account)) for account in ACCOUNTS[:3]]).save(OUT / "three.png", optimize=True)
    code("https://example.com/").save(OUT / "link.png", optimize=True)
    Image.new("L", (80, 80), 255).save(OUT / "blank.png", optimize=True)


# Apps


def aegis():
    entries = []
    for account in ACCOUNTS:
        kind, issuer, name, algorithm, digits, period, counter = account
        info = {"secret": base32(account), "algo": algorithm, "digits": digits}
        info |= {"counter": counter} if kind == "hotp" else {"period": period}
        entries.append({"type": kind, "uuid": "01234567-89ab-cdef-0123-456789abcdef", "name": name, "issuer": issuer,
                        "note": "", "favorite": False, "icon": None, "info": info, "groups": []})
    db = {"version": 3, "entries": entries, "groups": [], "icons_optimized": True}
    write_json("aegis.json", {"version": 1, "header": {"slots": None, "params": None}, "db": db})

    master, salt = RANDOM.randbytes(32), RANDOM.randbytes(32)

    def seal(key, data):
        nonce = RANDOM.randbytes(12)
        sealed = AESGCM(key).encrypt(nonce, data, None)
        return sealed[:-16], {"nonce": nonce.hex(), "tag": sealed[-16:].hex()}

    def slot(kind, password, slot_salt, **rest):
        wrapping = Scrypt(salt=slot_salt, length=32, n=1 << 15, r=8, p=1).derive(password.encode())
        key, params = seal(wrapping, master)
        return {"type": kind, "uuid": "01234567-89ab-cdef-0123-456789abcdef", "key": key.hex(), "key_params": params,
                **rest}

    scrypt = {"n": 1 << 15, "r": 8, "p": 1, "repaired": True, "is_backup": False}
    other = RANDOM.randbytes(32)
    slots = [
        slot(2, "the fingerprint's", other),
        slot(1, "another password", other, salt=other.hex(), **scrypt),
        slot(1, PASSWORD, salt, salt=salt.hex(), **scrypt),
    ]
    content, params = seal(master, json.dumps(db).encode())
    vault = {"version": 1, "header": {"slots": slots, "params": params}, "db": b64(content)}
    write_json("aegis-encrypted.json", vault)


def andotp():
    entries = []
    for account in ACCOUNTS:
        kind, issuer, name, algorithm, digits, period, counter = account
        entry = {"secret": base32(account), "issuer": issuer, "label": name, "digits": digits, "type": kind.upper(),
                 "algorithm": algorithm, "thumbnail": "Default", "last_used": 0, "used_frequency": 0, "tags": []}
        entries.append(entry | ({"counter": counter} if kind == "hotp" else {"period": period}))
    write("andotp.json", json.dumps(entries, ensure_ascii=False) + "\n")
    data = json.dumps(entries).encode()

    rounds, salt, nonce = 143_210, RANDOM.randbytes(12), RANDOM.randbytes(12)
    key = PBKDF2HMAC(hashes.SHA1(), 32, salt, rounds).derive(PASSWORD.encode())
    sealed = rounds.to_bytes(4, "big") + salt + nonce + AESGCM(key).encrypt(nonce, data, None)
    write("andotp-encrypted.json.aes", sealed)
    nonce = RANDOM.randbytes(12)
    key = hashlib.sha256(PASSWORD.encode()).digest()
    write("andotp-old.json.aes", nonce + AESGCM(key).encrypt(nonce, data, None))


def twofas():
    services = []
    for position, account in enumerate(ACCOUNTS):
        kind, issuer, name, algorithm, digits, period, counter = account
        otp = {"label": f"{issuer}:{name}", "account": name, "issuer": issuer, "digits": digits,
               "algorithm": algorithm, "tokenType": kind.upper(), "source": "Link"}
        otp |= {"counter": counter} if kind == "hotp" else {"period": period}
        services.append({"name": issuer, "secret": base32(account), "updatedAt": 1738059994575, "otp": otp,
                         "order": {"position": position}, "icon": {"selected": "Label"}})
    head = {"groups": [], "updatedAt": 1738060509269, "schemaVersion": 4, "appVersionCode": 5000029,
            "appVersionName": "5.4.8", "appOrigin": "android"}
    write_json("2fas.json", {"services": services, **head})

    salt = RANDOM.randbytes(256)
    key = PBKDF2HMAC(hashes.SHA256(), 32, salt, 10_000).derive(PASSWORD.encode())

    def seal(data):
        nonce = RANDOM.randbytes(12)
        return ":".join(map(b64, [AESGCM(key).encrypt(nonce, data, None), salt, nonce]))

    sealed = {"servicesEncrypted": seal(json.dumps(services).encode()), "reference": seal(b"2FAS")}
    write_json("2fas-encrypted.json", {"services": [], **head, "schemaVersion": 3, **sealed})


def bitwarden():
    aws, github, bank, steam = ACCOUNTS

    def login(name, username, totp):
        return {"id": "01234567-89ab-cdef-0123-456789abcdef", "type": 1, "name": name, "notes": None,
                "login": {"uris": [], "username": username, "password": "not this one", "totp": totp}}

    spaced = " ".join(base32(aws).lower()[i : i + 4] for i in range(0, 32, 4))
    items = [
        {"type": 2, "name": "A note", "secureNote": {"type": 0}},
        login("Amazon Web Services", "root@123456789012", spaced),
        login("no second factor", "x", None),
        login("code host", "someone", uri(github)),
        login("My bank", "card 7", uri(bank).replace(quote("Bank:card 7", safe=""), "").replace("&issuer=Bank", "")),
        login("games", "gamer", "steam://" + base32(steam)),
    ]
    plain = {"encrypted": False, "folders": [], "items": items}
    write_json("bitwarden.json", plain)
    data = json.dumps(plain, indent=2).encode()

    def protected(name, key, **head):
        enc, mac = (HKDFExpand(hashes.SHA256(), 32, info).derive(key) for info in (b"enc", b"mac"))

        def seal(text):
            iv, pad = RANDOM.randbytes(16), padding.PKCS7(128).padder()
            cipher = Cipher(algorithms.AES(enc), modes.CBC(iv)).encryptor()
            sealed = cipher.update(pad.update(text) + pad.finalize()) + cipher.finalize()
            tag = hmac.HMAC(mac, hashes.SHA256())
            tag.update(iv + sealed)
            return "2." + "|".join(map(b64, [iv, sealed, tag.finalize()]))

        head = {"encrypted": True, "passwordProtected": True, **head}
        write_json(name, {**head, "encKeyValidation_DO_NOT_EDIT": seal(b"a guid"), "data": seal(data)})

    salt, rounds = b64(RANDOM.randbytes(16)), 100_000
    key = PBKDF2HMAC(hashes.SHA256(), 32, salt.encode(), rounds).derive(PASSWORD.encode())
    protected("bitwarden-pbkdf2.json", key, salt=salt, kdfType=0, kdfIterations=rounds)
    salt = b64(RANDOM.randbytes(16))
    hashed = hashlib.sha256(salt.encode()).digest()
    key = hash_secret_raw(PASSWORD.encode(), hashed, 3, 64 * 1024, 4, 32, Type.ID)
    head = {"kdfType": 1, "kdfIterations": 3, "kdfMemory": 64, "kdfParallelism": 4}
    protected("bitwarden-argon2id.json", key, salt=salt, **head)
    restricted = {"encrypted": True, "encKeyValidation_DO_NOT_EDIT": "2.AAAA|AAAA|AAAA", "folders": [], "items": []}
    write_json("bitwarden-restricted.json", restricted)


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    for make in [uris, google, pictures, aegis, andotp, twofas, bitwarden]:
        make()
    sys.stdout.write("".join(f"{path.stat().st_size:7} {path.name}\n" for path in sorted(OUT.iterdir())))
