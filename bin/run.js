#!/usr/bin/env node
// Starts lunctl, by what serves the command best.
const words = process.argv.slice(2);
/** iscsiadm's command line, and what scripts and shells ask all the time: without oclif. */
const quick = /^(iscsiadm|__complete|-m.*|--mode(=.*)?|--version)$/s.test(words[0]);
/** What moves data in this very process runs the single modules: calls between the pieces of the bundle take longer. */
const stays = /^(serve|nbd)$/.test(words[0]) || words.includes('--foreground');

// Also by a link of that name to this file.
if (/(^|\/)iscsiadm$/.test(process.argv[1])) require('./iscsiadm.js');
else {
  // `serve` reads, writes and syncs its disks in these threads: with four, as few slow fdatasync calls stop everything.
  if (stays && process.env.UV_THREADPOOL_SIZE === undefined) process.env.UV_THREADPOOL_SIZE = '16';
  // A secret may stand in iscsiadm's arguments.
  if (quick) process.title = 'lunctl-iscsiadm';
  const fromBundle = () => require('./load.js').loadProgram(quick ? 'quick' : 'lunctl');
  require('./start.js').start(stays && !quick ? () => import('../dist/cli/main.js') : fromBundle, words);
}
