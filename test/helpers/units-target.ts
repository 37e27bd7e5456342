// A target of our own on a real port, with the logical units that a test gives it: any device at any number.
import type { BlockDevice } from '../../src/block/block-device.js';
import { TargetConnection } from '../../src/target/connection.js';
import { TargetContext } from '../../src/target/context.js';
import { LogicalUnit } from '../../src/target/logical-unit.js';
import { TargetNode } from '../../src/target/target-node.js';
import { now } from '../../src/transport/clock.js';
import { type Listener, listenTcp } from '../../src/transport/listen.js';
import type { Wire } from '../../src/transport/wire.js';
import { BufferPool } from '../../src/util/ref-buffer.js';

export const UNITS_TARGET = 'iqn.2022-08.com.test:units01';

export interface UnitsTarget {
  readonly port: number;
  /** Ends every connection and stops listening. The devices stay open. */
  stop(): Promise<void>;
}

/** Every initiator may log in. `units`: the device of each LUN number. */
export async function startUnits(units: ReadonlyMap<number, BlockDevice>): Promise<UnitsTarget> {
  const pool = new BufferPool();
  const luns = [...units].map(([lun, device]) => {
    const serial = `5ca1ab1e${lun.toString(16).padStart(8, '0')}`;
    return { lun, unit: new LogicalUnit({ name: `disk${lun}`, serial, device, pool }) };
  });
  const context = new TargetContext(new TargetNode({ alias: null, targets: [], discoveryAuth: null }), pool);
  const listener: Listener = await listenTcp('127.0.0.1', 0, (wire) => join(context, wire));
  const portals = [{ address: '127.0.0.1', port: listener.port }];
  const group = { tag: 1, enabled: true, portals, luns, acls: [], auth: { account: null, mutual: null } } as const;
  const portalGroups = [{ ...group, demoMode: 'read-write', authenticationRequired: false } as const];
  context.node = new TargetNode({ alias: null, targets: [{ name: UNITS_TARGET, portalGroups }], discoveryAuth: null });
  return { port: listener.port, stop: () => listener.close() };
}

function join(context: TargetContext, wire: Wire): void {
  const host = { now, close: () => wire.end(), changed: () => wire.wake(), event: () => {} };
  const addresses = {
    local: { address: wire.localAddress, port: wire.localPort },
    remote: { address: wire.remoteAddress, port: wire.remotePort },
  };
  const connection = new TargetConnection({ context, sink: wire.sink, addresses, host });
  wire.attach(connection, {
    timed: [connection],
    onClose: (error) => connection.onClosed(error?.message ?? 'closed by the initiator'),
  });
}
