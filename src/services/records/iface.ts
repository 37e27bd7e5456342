// What a record's interface says about a login: where it comes from, and under which initiator name.
import type { Source } from '../../transport/source.js';
import { AppError } from '../../util/errors.js';
import type { NodeRecord } from './records.js';

/**
 * Where the record's connections come from; undefined leaves it to the kernel's routes.
 * @throws AppError ERR_NOT_SUPPORTED for a transport other than TCP
 */
export function sourceOf({ values }: Pick<NodeRecord, 'values'>): Source | undefined {
  const iface = values.text('iface.iscsi_ifacename');
  // 'default' is how open-iscsi writes "no choice" in some places.
  const set = (key: string) => {
    const value = values.text(`iface.${key}`);
    return value === '' || value === 'default' ? undefined : value;
  };
  const transport = set('transport_name') ?? 'tcp';
  if (transport !== 'tcp') {
    throw new AppError(
      'ERR_NOT_SUPPORTED',
      `interface ${iface} is for transport ${transport}; here there is TCP alone`,
      { fault: 'no-transport' },
    );
  }
  const address = set('ipaddress');
  const netdev = set('net_ifacename');
  const hwaddress = set('hwaddress');
  if (address !== undefined) return { address };
  if (netdev !== undefined) return { netdev };
  return hwaddress === undefined ? undefined : { hwaddress };
}
