// Presigns in wasm what comes in on stdin, a request in JSON a line, as tests/oracle/botocore_presign.py does it in Python:
// the other end of tests/tests/sigv4_differential.rs.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const folder = process.env.KEYFOB_WASM;
const core = await import(pathToFileURL(join(folder, "keyfob_core.js")).href);
core.initSync({ module: readFileSync(join(folder, "keyfob_core_bg.wasm")) });

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  let presigner = new core.Presigner(
    request.access_key_id,
    request.secret_access_key,
    request.region,
    request.endpoint ?? undefined,
    request.session_token ?? undefined,
  );
  if (request.path_style) presigner = presigner.path_style();
  const url = presigner.presign_request({ ...request, versionId: request.version_id ?? undefined });
  presigner.free();
  process.stdout.write(`${JSON.stringify({ url })}\n`);
}
