// The Rocky Linux guide's iscsiadm commands with `alias iscsiadm=lunctl-iscsiadm`, against `lunctl serve`, without a kernel device.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { missing, spawnInside } from './namespaces.js';

/** Our target as the guide's, in the background; then the guide. */
const SCRIPT = `umask 077
printf password >/run/secret
node bin/run.js serve /run/disk01.img=10G --target iqn.2022-08.com.test:dlp.target01 --portal 192.168.219.101 \\
  --allow iqn.2022-08.com.test:node01.initiator01 --chap-user username --chap-secret-file /run/secret >/run/serve.out 2>&1 &
serve=$!
for i in $(seq 100); do grep -q 'listening on' /run/serve.out && break; sleep 0.1; done
bash test/transcripts/rocky-guide.sh 2>&1
code=$?
test $code = 0 || cat /run/serve.out
kill -INT $serve
wait
exit $code`;

test("the guide's lines come to the letter", { skip: missing() ?? false }, async () => {
  const child = spawnInside(['bash', '-c', SCRIPT], { network: true });
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  const code = await new Promise((resolve) => child.on('close', resolve));
  assert.equal(code, 0, output);
  assert.match(output, /every line as in the guide$/m);
});
