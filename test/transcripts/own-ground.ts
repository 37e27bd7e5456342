// Our own target, set up as LIO was for the recordings.
import { MemoryDevice } from '../../src/block/memory-device.js';
import type { AuthConfig, TargetConfig, TargetEntryConfig } from '../../src/target/config.js';
import { TargetConnection } from '../../src/target/connection.js';
import { TargetContext } from '../../src/target/context.js';
import { DECLARED } from '../../src/target/limits.js';
import { LogicalUnit } from '../../src/target/logical-unit.js';
import { type TargetListing, TargetNode } from '../../src/target/target-node.js';
import { now } from '../../src/transport/clock.js';
import { type Listener, listenTcp } from '../../src/transport/listen.js';
import type { Wire } from '../../src/transport/wire.js';
import { BufferPool } from '../../src/util/ref-buffer.js';
import { type Ground, INITIATOR, type OfferedTarget, PORT, type Proof } from './ground.js';

/** What LIO declares where we are more generous: `session -P 2` prints what was agreed on. */
const OF_LIO = { maxBurstLength: 262_144, initialR2T: true, maxOutstandingR2T: 1 };
const NO_PROOF: AuthConfig = { account: null, mutual: null };

/** LIO shows every target to discovery, also those that the initiator may not log into. */
class FrankNode extends TargetNode {
  readonly #shown: TargetNode;
  constructor(config: TargetConfig) {
    super(config);
    const open = (target: TargetEntryConfig): TargetEntryConfig => {
      return { ...target, portalGroups: target.portalGroups.map((group) => ({ ...group, demoMode: 'read-write' })) };
    };
    this.#shown = new TargetNode({ ...config, targets: config.targets.map(open) });
  }
  override listFor(initiatorName: string, localAddress: string, only: string | null): TargetListing[] {
    return this.#shown.listFor(initiatorName, localAddress, only);
  }
}

export class OwnGround implements Ground {
  readonly name = 'own';
  readonly devices = false;
  readonly #pool = new BufferPool();
  readonly #context = new TargetContext(new TargetNode({ alias: null, targets: [], discoveryAuth: null }), this.#pool);
  readonly #wires = new Set<Wire>();
  readonly #listeners: Listener[] = [];
  readonly #units = new Map<string, LogicalUnit>();
  readonly #silent = new Set<string>();
  #port: number;
  #targets: readonly OfferedTarget[] = [];
  #discoveryAuth: AuthConfig | null = null;

  /** `port` 0 takes a free one. */
  constructor(port = PORT) {
    this.#port = port;
  }

  get port(): number {
    return this.#port;
  }

  async offer(targets: readonly OfferedTarget[]): Promise<void> {
    Object.assign(DECLARED, OF_LIO);
    this.#targets = targets;
    for (const address of new Set(targets.flatMap(({ addresses }) => addresses))) {
      const listener = await listenTcp(address, this.#port, (wire) => this.#accept(wire));
      this.#port = listener.port;
      this.#listeners.push(listener);
    }
    this.#apply();
  }

  async addLun(targetName: string): Promise<void> {
    this.#targets = this.#targets.map((target) =>
      target.name === targetName ? { ...target, luns: [...target.luns, 64] } : target,
    );
    this.#apply();
  }

  /** Connections are closed before they can ask for a target: ours would say that there is none, LIO that it is out of service. */
  async answer(targetName: string, answers: boolean): Promise<void> {
    if (answers) this.#silent.delete(targetName);
    else this.#silent.add(targetName);
    if (!answers) for (const wire of this.#wires) wire.destroy();
  }

  async discoveryProof(proof: Proof | null): Promise<void> {
    this.#discoveryAuth = proof;
    this.#apply();
  }

  async close(): Promise<void> {
    for (const listener of this.#listeners) await listener.close();
  }

  #apply(): void {
    const targets = this.#targets.map((target) => this.#entry(target));
    this.#context.node = new FrankNode({ alias: null, targets, discoveryAuth: this.#discoveryAuth });
  }

  #entry({ name, addresses, access, proof, luns }: OfferedTarget): TargetEntryConfig {
    const group = {
      tag: 1,
      enabled: true,
      portals: addresses.map((address) => ({ address, port: this.#port })),
      luns: luns.map((mebibytes, lun) => ({ lun, unit: this.#unit(`${name}/${lun}`, mebibytes) })),
      acls: access === 'acl' ? [{ initiatorName: INITIATOR, auth: null, mappedLuns: null }] : [],
      auth: proof ?? NO_PROOF,
      demoMode: access === 'everyone' ? 'read-write' : 'off',
      authenticationRequired: proof !== null,
    } as const;
    return { name, portalGroups: [group] };
  }

  #unit(name: string, mebibytes: number): LogicalUnit {
    const serial = `5ca1ab1e${this.#units.size.toString(16).padStart(8, '0')}`;
    const device = new MemoryDevice({ sizeBytes: mebibytes * 2 ** 20, pool: this.#pool });
    const unit = this.#units.get(name) ?? new LogicalUnit({ name: 'disk', serial, device, pool: this.#pool });
    this.#units.set(name, unit);
    return unit;
  }

  #accept(wire: Wire): void {
    if (this.#silent.size > 0) {
      wire.destroy();
      return;
    }
    const host = { now, close: () => wire.end(), changed: () => wire.wake(), event: () => {} };
    const addresses = {
      local: { address: wire.localAddress, port: wire.localPort },
      remote: { address: wire.remoteAddress, port: wire.remotePort },
    };
    const connection = new TargetConnection({ context: this.#context, sink: wire.sink, addresses, host });
    this.#wires.add(wire);
    wire.attach(connection, {
      timed: [connection],
      onClose: (error) => {
        this.#wires.delete(wire);
        connection.onClosed(error?.message ?? 'closed by the initiator');
      },
    });
  }
}
