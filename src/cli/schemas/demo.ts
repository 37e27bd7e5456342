// What `demo` prints under --json.
import * as v from 'valibot';
import { FILE_SYSTEMS } from '../../disk/plan.js';
import type { DemoStep } from '../../services/demo/shell.js';
import type { Describes } from './parts.js';
import { attach, document, flag, list, seconds, text } from './parts.js';

const step = v.strictObject({
  title: text('What it is about.'),
  command: text('The command line.'),
  seconds: seconds('How long it took.'),
}) satisfies Describes<DemoStep>;

export const demo = document('demo', 'How far the demonstration went.', {
  attach,
  fileSystem: v.pipe(v.nullable(v.picklist(FILE_SYSTEMS)), v.description('The file system made; null without one.')),
  mounted: flag('A file system was mounted.'),
  steps: list(step, 'In their order.'),
  leftOut: list(v.string(), 'What was left out, and what it would take.'),
});
