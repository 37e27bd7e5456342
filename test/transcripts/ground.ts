// What the recordings were made against, as something to replay them on: five targets, and what was done to them meanwhile.

export const INITIATOR = 'iqn.2022-08.com.test:node01.initiator01';
/** The first one can also be had on [::1] and 127.0.0.2. */
export const PORTALS = ['127.0.0.1', '::1', '127.0.0.2'];
export const PORT = 3260;

export interface Account {
  readonly user: string;
  readonly secret: string;
}
export interface Proof {
  readonly account: Account;
  readonly mutual: Account | null;
}

export interface OfferedTarget {
  readonly name: string;
  readonly addresses: readonly string[];
  /** Who may log in: the initiator of the recordings, nobody, or everyone. */
  readonly access: 'acl' | 'none' | 'everyone';
  readonly proof: Proof | null;
  /** MiB of each LUN: less than in the recordings, which do not show it, as LIO's stand in memory. */
  readonly luns: readonly number[];
}

const [FIRST = ''] = PORTALS;
const USER: Account = { user: 'username', secret: 'password1234' };
const target = (number: number): string => `iqn.2022-08.com.test:dlp.target0${number}`;
const plain = { addresses: [FIRST], access: 'acl', proof: null, luns: [64] } as const;

/** The targets of every recording but the guide's. */
export const FIVE: readonly OfferedTarget[] = [
  { ...plain, name: target(1), addresses: PORTALS },
  { ...plain, name: target(2), proof: { account: USER, mutual: null } },
  { ...plain, name: target(3), access: 'none' },
  { ...plain, name: target(4), access: 'everyone', luns: [64, 64] },
  { ...plain, name: target(5), proof: { account: USER, mutual: { user: 'mutualuser', secret: 'mutualpass12' } } },
];

/** The one target of the Rocky Linux guide. */
export const GUIDE: readonly OfferedTarget[] = [
  {
    ...plain,
    name: target(1),
    proof: { account: { user: 'username', secret: 'password' }, mutual: null },
  },
];

export interface Ground {
  readonly name: 'own' | 'lio';
  /** Whether a login brings kernel devices. */
  readonly devices: boolean;
  offer(targets: readonly OfferedTarget[]): Promise<void>;
  /** One more LUN of a target that has some. */
  addLun(targetName: string): Promise<void>;
  /** Whether a target answers: without, its sessions end and none begins. */
  answer(targetName: string, answers: boolean): Promise<void>;
  /** What discovery asks for from now on; null: nothing. */
  discoveryProof(proof: Proof | null): Promise<void>;
  close(): Promise<void>;
}
