// Two initiators at one target of our own, in memory, each with a connection that is logged in.
import type { BlockDevice } from '../../src/block/block-device.js';
import type { InitiatorSession } from '../../src/initiator/session.js';
import { makeIsid } from '../../src/iscsi/isid.js';
import { MemorySink } from './memory-link.js';
import { InitiatorRig, TargetRig } from './pair.js';

export interface Party {
  readonly rig: InitiatorRig;
  readonly session: InitiatorSession;
  /** Moves bytes until `work` has settled. */
  run<T>(work: Promise<T>): Promise<T>;
}

export async function loggedInPair(device: BlockDevice): Promise<{ first: Party; second: Party }> {
  const one = new InitiatorRig({ login: { isid: makeIsid(0x123456, 1) } });
  const target = new TargetRig(one.clock, { devices: [device] });
  const other = new InitiatorRig({ login: { isid: makeIsid(0x123456, 2) } });
  return { first: await party(one, target), second: await party(other, target) };
}

async function party(rig: InitiatorRig, target: TargetRig): Promise<Party> {
  rig.open(target.accept(), new MemorySink());
  await rig.settle();
  return {
    rig,
    session: rig.session,
    async run(work) {
      let settled = false;
      const end = () => {
        settled = true;
      };
      work.then(end, end);
      for (let turns = 0; !settled && turns < 1000; turns++) {
        rig.pump();
        await new Promise((resolve) => setImmediate(resolve));
      }
      return work;
    },
  };
}
