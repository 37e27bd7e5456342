#!/usr/bin/env node
// Starts lunctl-iscsiadm. A secret may stand in its arguments: from here on nobody sees it in the list of processes.
process.title = 'lunctl-iscsiadm';
require('./start.js').start(
  () => require('./load.js').loadProgram('quick'),
  ['iscsiadm'].concat(process.argv.slice(2)),
);
