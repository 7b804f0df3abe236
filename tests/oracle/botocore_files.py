"""Reads AWS's files with botocore: a line of JSON in, a line out.

In: a list of texts of files. Out: for each what its sections hold (values that go on are as they are in the file), and the
profiles of a config file, or null for a file that botocore refuses.
"""

import json
import os
import sys
import tempfile

from botocore import configloader
from botocore.exceptions import ConfigParseError

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "file")
    for line in sys.stdin:
        replies = []
        for text in json.loads(line):
            with open(path, "wb") as file:
                file.write(text.encode())
            try:
                # Refuses what it cannot take apart; then the values as they are.
                profiles = configloader.load_config(path)["profiles"]
                sections = configloader.raw_config_parse(path, parse_subsections=False)
                reply = {"sections": sections, "profiles": sorted(profiles)}
            except ConfigParseError:
                reply = None
            replies.append(reply)
        print(json.dumps(replies), flush=True)
