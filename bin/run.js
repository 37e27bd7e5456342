#!/usr/bin/env node
// Starts lunctl: with oclif, or quickly without it.
const words = process.argv.slice(2);
/** iscsiadm's command line, also by a link of that name to this file, and what shells ask. */
const quick = /^(iscsiadm|-m.*|--mode(=.*)?|--version)$/s;
if (/(^|\/)iscsiadm$/.test(process.argv[1])) require('./iscsiadm.js');
else require('./start.js').start(quick.test(words[0]) ? 'quick' : 'lunctl', words);
