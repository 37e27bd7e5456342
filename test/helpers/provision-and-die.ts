// A stand-in for `disk provision` that is killed: does what its argument says, prints each step, and kills itself right
// after one of them, or some time after it has begun. It runs what has been built, which starts faster.
import { writeSync } from 'node:fs';
import type * as Provision from '../../src/services/disk/provision.js';

type ProvisionOptions = Provision.ProvisionOptions;
type StepName = Provision.StepName;
const built = new URL('../../dist/services/disk/provision.js', import.meta.url).href;
const { provisionDisk } = (await import(built)) as typeof Provision;

interface Argument extends Pick<ProvisionOptions, 'paths' | 'dev' | 'portal' | 'attach' | 'type' | 'directory'> {
  readonly extra?: readonly string[];
  readonly fstab?: boolean;
  readonly dieAfter?: StepName;
  readonly dieDuring?: { readonly step: StepName; readonly ms: number };
  readonly initiatorName: string;
}

const { dieAfter, dieDuring, initiatorName, ...rest } = JSON.parse(process.argv[2] ?? '') as Argument;
const die = () => process.kill(process.pid, 'SIGKILL');
const { mounted } = await provisionDisk({
  ...{ credentials: null, save: false, strongSecrets: false, mkdir: true, fstab: false, extra: [], dryRun: false },
  ...rest,
  signal: new AbortController().signal,
  initiatorName: async () => initiatorName,
  agree: async ({ what }) => {
    throw new Error(what);
  },
  onBegin: (name) => {
    if (dieDuring?.step === name) setTimeout(die, dieDuring.ms);
  },
  onStep: ({ name, done }) => {
    writeSync(1, `${name}${done ? '!' : ''}\n`);
    if (dieAfter === name) die();
  },
  onProgress: () => {},
  onWarning: () => {},
});
writeSync(1, `${mounted?.target}\n`);
