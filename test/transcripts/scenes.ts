// What happened around the recorded commands without being shown: credentials, changes at the target, waits. Numbers are those
// of the commands in their recording, and each is given with its beginning so that a slip is found out.
import { FIVE, type Ground, GUIDE, type OfferedTarget } from './ground.js';

/** What a hidden step works with. `run` is bash, and must succeed. */
export interface Stage {
  readonly ground: Ground;
  run(script: string): Promise<void>;
}
export type Step = (stage: Stage) => Promise<void>;

export interface Scene {
  readonly targets: readonly OfferedTarget[];
  /** Lines of iscsid.conf beside those of the stock file. */
  readonly config?: string;
  /** Hidden steps before a command: number and beginning of its line. */
  readonly before?: readonly (readonly [number, string, readonly Step[]])[];
  /** Commands replayed in part, because the rest is about another program: what runs, and which lines of its output are left out. */
  readonly parts?: ReadonlyMap<number, { readonly run: string; readonly without?: RegExp }>;
  /** Commands that show what only a LIO, or a disk of the kernel, can. */
  readonly onlyLio?: ReadonlySet<number>;
}

const target = (number: number): string => `iqn.2022-08.com.test:dlp.target0${number}`;

const sh =
  (script: string): Step =>
  ({ run }) =>
    run(script);
/** Tries once and again for ten seconds. */
const until = (script: string): Step =>
  sh(`for i in $(seq 50); do ${script} >/dev/null 2>&1 && exit; sleep 0.2; done; exit 1`);
const discover = sh('iscsiadm -m discovery -t st -p 127.0.0.1');
const node = (number: number, changes: Readonly<Record<string, string>>): Step =>
  sh(
    Object.entries(changes)
      .map(([key, value]) => `iscsiadm -m node -T ${target(number)} -o update -n ${key} -v '${value}'`)
      .join(' && '),
  );
const auth = (number: number, changes: Readonly<Record<string, string>>): Step =>
  node(number, Object.fromEntries(Object.entries(changes).map(([key, value]) => [`node.session.auth.${key}`, value])));
const discoveryAuth = (changes: Readonly<Record<string, string>>): Step =>
  sh(
    Object.entries(changes)
      .map(
        ([key, value]) =>
          `iscsiadm -m discoverydb -t st -p 127.0.0.1 -o update -n discovery.sendtargets.auth.${key} -v ${value}`,
      )
      .join(' && '),
  );
const login = (number: number): Step => sh(`iscsiadm -m node -T ${target(number)} --login`);

/** A file system on the first disk of the session, mounted; without a device there is nothing to mount. */
const mounted: Step = ({ ground, run }) =>
  ground.devices
    ? run(`disk=/dev/$(iscsiadm -m session -P 3 | awk '/Attached scsi disk/ { print $4; exit }')
        for i in $(seq 50); do test -b "$disk" && break; sleep 0.2; done
        mkfs.ext4 -q "$disk" && mount "$disk" /mnt`)
    : Promise.resolve();
const unmounted: Step = ({ run }) => run('if mountpoint -q /mnt; then umount /mnt; fi; iscsiadm -m session -u || true');

const USER = { username: 'username', password: 'password1234' };
const MUTUAL = { username_in: 'mutualuser', password_in: 'mutualpass12' };
const DISCOVERY = { user: 'disc', secret: 'discpass1234' };
const DISCOVERY_IN = { user: 'discmutual', secret: 'discmutual12' };
const PARTITIONS = /^major minor[\s\S]*/m;

const usage: Scene = { targets: FIVE };

const discovery: Scene = { targets: FIVE };

const nodes: Scene = { targets: FIVE };

const logins: Scene = {
  targets: FIVE,
  before: [
    [1, 'iscsiadm -m node -T', [discover]],
    [33, 'iscsiadm -m session -R', [({ ground }) => ground.addLun(target(4))]],
    [71, 'iscsiadm -m session', [until('iscsiadm -m session')]],
    [78, 'iscsiadm -m node', [node(4, { 'node.session.nr_sessions': '1' }), login(4), mounted]],
    [79, 'iscsiadm -m session', [unmounted]],
    [
      80,
      'iscsiadm -m session -P 1',
      [login(4), ({ ground }) => ground.answer(target(4), false), until('iscsiadm -m session -P 1 | grep REOPEN')],
    ],
    [
      82,
      'iscsiadm -m session -P 1',
      [({ ground }) => ground.answer(target(4), true), until("iscsiadm -m session -P 1 | grep 'NO CHANGE'")],
    ],
  ],
  parts: new Map([
    [30, { run: 'iscsiadm -m session -s' }],
    [32, { run: 'iscsiadm -m session -R', without: PARTITIONS }],
    [33, { run: 'iscsiadm -m session -R', without: PARTITIONS }],
  ]),
  onlyLio: new Set([78]),
};

const chap: Scene = {
  targets: FIVE,
  before: [
    [1, 'iscsiadm -m node -T', [discover]],
    [2, 'iscsiadm -m node -T', [auth(2, USER)]],
    [11, 'iscsiadm -m node -T', [auth(2, { password: 'wrongpassword' })]],
    [12, 'iscsiadm -m node -T', [auth(2, { ...USER, username: 'wronguser' })]],
    [13, 'iscsiadm -m node -T', [auth(2, USER)]],
    [28, 'iscsiadm -m node -T', [auth(5, { authmethod: 'CHAP', ...USER })]],
    [29, 'iscsiadm -m node -T', [auth(5, MUTUAL)]],
    [32, 'iscsiadm -m node -T', [auth(5, { password_in: 'wrongpassword' })]],
    [33, 'iscsiadm -m node -T', [auth(2, MUTUAL)]],
    [34, 'iscsiadm -m node -T', [auth(5, { password_in: USER.password })]],
    [39, 'iscsiadm -m discovery', [({ ground }) => ground.discoveryProof({ account: DISCOVERY, mutual: null })]],
    [
      40,
      'iscsiadm -m discoverydb',
      [discoveryAuth({ authmethod: 'CHAP', username: DISCOVERY.user, password: 'wrongpassword' })],
    ],
    [41, 'iscsiadm -m discoverydb', [discoveryAuth({ password: DISCOVERY.secret })]],
    [
      45,
      'iscsiadm -m discoverydb',
      [
        ({ ground }) => ground.discoveryProof({ account: DISCOVERY, mutual: DISCOVERY_IN }),
        discoveryAuth({ username_in: DISCOVERY_IN.user, password_in: DISCOVERY_IN.secret }),
      ],
    ],
  ],
  // Of a challenge that it cannot answer LIO says nothing; our target refuses the login (0201). Of a target that it does not
  // have LIO says that the service is not available (0301); ours that there is none (0203).
  onlyLio: new Set([33, 37]),
};

const ifaceHost: Scene = {
  targets: FIVE,
  before: [
    [1, 'iscsiadm -m iface', [({ ground }) => ground.addLun(target(4)), discover]],
    [20, 'iscsiadm -m iface -P 1', [sh('iscsiadm -m node -o delete')]],
    [22, 'iscsiadm -m discovery', [sh('iscsiadm -m iface -I myif2 -o new')]],
  ],
};

const addNode = (name: string, portal: string, changes: Readonly<Record<string, string>> = {}): Step =>
  sh(
    [
      `iscsiadm -m node -o new -T ${name} -p ${portal}`,
      ...Object.entries(changes).map(([key, value]) => `iscsiadm -m node -T ${name} -o update -n ${key} -v ${value}`),
    ].join(' && '),
  );
const IMPATIENT = { 'node.session.initial_login_retry_max': '1', 'node.conn[0].timeo.login_timeout': '5' };

const connectionErrors: Scene = {
  targets: FIVE,
  before: [
    [
      1,
      'iscsiadm -m discovery',
      [3262, 3263].map((port) => sh(`iscsiadm -m discoverydb -t st -p 127.0.0.1:${port} -o new`)),
    ],
    [21, 'iscsiadm -m node -T iqn.x:a', [addNode('iqn.x:a', '127.0.0.1:3999')]],
    [22, 'iscsiadm -m node -T iqn.x:b', [addNode('iqn.x:b', '192.0.2.1')]],
    [23, 'iscsiadm -m node -T iqn.x:c', [addNode('iqn.x:c', '127.0.0.1:3271')]],
    [24, 'iscsiadm -m node -T iqn.x:d', [addNode('iqn.x:d', '127.0.0.1:3270', IMPATIENT)]],
    [25, 'iscsiadm -m node -T iqn.x:e', [addNode('iqn.x:e', '10.77.0.9', IMPATIENT)]],
    [
      28,
      'iscsiadm -m session -P 3',
      [
        discover,
        node(4, { 'node.session.timeo.replacement_timeout': '5' }),
        login(4),
        ({ ground }) => ground.answer(target(4), false),
        until("iscsiadm -m session -P 1 | grep 'State: FREE'"),
      ],
    ],
  ],
};

const mutualChap: Scene = {
  targets: FIVE,
  before: [
    [1, 'iscsiadm -m node -T', [discover, auth(5, { authmethod: 'CHAP', ...USER, ...MUTUAL })]],
    // Where the command before it has logged out already.
    [10, 'iscsid; sleep 2', [sh(`iscsiadm -m session || iscsiadm -m node -T ${target(5)} --login`)]],
  ],
  parts: new Map([[10, { run: 'iscsiadm -m session; iscsiadm -m node --logout; iscsiadm -m session' }]]),
};

const guide: Scene = {
  targets: GUIDE,
  // Without a daemon, the real one has got no further.
  before: [[3, 'iscsiadm -m discovery', [sh('iscsiadm -m node -u && iscsiadm -m node -o delete')]]],
  config:
    'node.session.auth.authmethod = CHAP\nnode.session.auth.username = username\nnode.session.auth.password = password\n',
};

/** By the name of the recording. */
export const SCENES: ReadonlyMap<string, Scene> = new Map([
  ['usage', usage],
  ['discovery', discovery],
  ['node', nodes],
  ['login', logins],
  ['chap', chap],
  ['iface-host', ifaceHost],
  ['connection-errors', connectionErrors],
  ['mutual-chap', mutualChap],
  ['guide', guide],
]);
