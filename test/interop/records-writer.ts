// Run where /etc/iscsi is the test's: changes records in the ways that commands do, again and again, while iscsiadm is at work.
import { addNode, deleteNodes, updateNodes } from '../../src/services/records/edit-nodes.js';
import { readConfig, recordDiscovery } from '../../src/services/records/records.js';

const rounds = Number(process.argv[2]);
const paths = { configDir: '/etc/iscsi', dbDir: '/etc/iscsi' };
const signal = new AbortController().signal;
const portal = { address: '10.0.0.1', port: 3260 };
const ref = { targetName: 'iqn.2022-08.com.test:ours', ...portal, tpgt: 1, iface: 'default' };
const inUse = () => false;

for (let round = 1; round <= rounds; round++) {
  const { results } = await updateNodes(paths, [ref], [['node.session.queue_depth', String(round)]], signal);
  if (results.some(({ error }) => error !== null)) throw results[0]?.error;
  // Beside a record of iscsiadm's, in the same folders.
  const { ref: mine } = await addNode(paths, { targetName: 'iqn.2022-08.com.test:both', portal, tpgt: 2 }, signal);
  const found = [{ targetName: 'iqn.2022-08.com.test:found', ...portal, tpgt: round % 2 }];
  await recordDiscovery(paths, { portal, found, config: await readConfig(paths), save: null, inUse, signal });
  const gone = await deleteNodes(paths, [mine], { inUse }, signal);
  if (gone.some(({ error }) => error !== null)) throw gone[0]?.error;
}
