// Mode iface of the iscsiadm face: interface records listed, shown, made, changed and removed.
import type { Call } from './call.js';
import { operationOf } from './operations.js';
import { Reported } from './reported.js';

/** What EINVAL is, where iscsiadm lets it through as its exit code. */
const EINVAL = 22;

export async function runIface(call: Call): Promise<void> {
  const { options, talk } = call;
  const [name, ...others] = options.all('I');
  if (others.length > 0) talk.complain(`iface mode only accepts one interface. Using the first one ${name}.`);
  if (options.text('C') === 'ping') return ping(call, name);
  const edit = () => import('./iface-edit.js');
  switch (operationOf(options)) {
    case 'new':
      return name === undefined
        ? refuse(call, 'Could not add interface. No interface passed in.', EINVAL)
        : (await edit()).newIface(call, name);
    case 'delete':
      return name === undefined
        ? refuse(call, 'Could not delete interface. No interface passed in.')
        : (await edit()).removeIface(call, name);
    case 'update':
      return (await edit()).updateIface(call, name);
    case 'apply':
      return name === undefined ? refuse(call, 'Apply requires iface.') : (await edit()).applyIface(call, name);
    case 'applyall':
      return applyAll(call);
    case 'none':
    case 'show':
      return (await import('./iface-list.js')).showIfaces(call, name);
    default:
      talk.fail(Reported.Invalid);
  }
}

function refuse({ talk }: Call, line: string, code: number = Reported.Invalid): void {
  talk.complain(line);
  talk.fail(code);
}

/** Settings of network hardware, which there is none of below our sessions: iscsiadm takes that for success. */
function applyAll({ options, talk }: Call): void {
  const host = options.number('H') ?? 0;
  talk.complain(`Could not read proc_name for host${host} rc 5.`);
  talk.complain('Nothing to configure.');
  talk.out(`Applied settings to ifaces attached to host${host}.\n`);
}

/** Network hardware that answers pings by itself is not there either: the last line is the one for a host that is not found. */
async function ping(call: Call, name: string | undefined): Promise<void> {
  const { options } = call;
  const [size = 32, count = 1, interval = 0] = [options.number('b'), options.number('c'), options.number('i')];
  if (name === undefined) return refuse(call, 'Ping requires iface.');
  if (!options.has('a') && !options.has('p')) return refuse(call, 'Ping requires destination ipaddress.');
  if (size <= 0) return refuse(call, `Invalid packet size: ${size}.`);
  if (count <= 0) return refuse(call, `Invalid number of packets to transmit: ${count}.`);
  if (interval < 0) return refuse(call, `Invalid timing interval: ${interval}.`);
  const { ifaceIsThere } = await import('./iface-list.js');
  if (!(await ifaceIsThere(name))) return refuse(call, `Could not read iface ${name} (6).`, Reported.Database);
  refuse(call, "Can't find host_no.");
}
