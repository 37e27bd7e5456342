// What RFC 7143 §9.2.1 has against the secrets of a configuration. They are used all the same.
import type { ChapCredentials, SaveConfig } from '../../saveconfig/model.js';
import { aclPath, tpgPath } from '../../saveconfig/paths.js';
import { weakSecrets } from '../secret-rules.js';

/** One line for each short secret, and for each that proves several initiators. No line shows a secret. */
export function secretWarnings(config: SaveConfig): string[] {
  const holders = credentialsOf(config);
  const weak = holders.flatMap(([path, { chap_userid, chap_password, chap_mutual_userid, chap_mutual_password }]) => {
    const mutual = { user: chap_mutual_userid ?? '', secret: chap_mutual_password ?? '' };
    const pair = { user: chap_userid ?? '', secret: chap_password ?? '' };
    if (pair.secret === '') return [];
    return weakSecrets(mutual.secret === '' ? pair : { ...pair, mutual }).map((text) => `${path}: ${text}`);
  });
  return [...weak, ...shared(holders)];
}

function shared(holders: readonly (readonly [string, ChapCredentials])[]): string[] {
  const paths = new Map<string, string[]>();
  for (const [path, { chap_password: secret }] of holders) {
    if (secret !== undefined && secret !== '') paths.set(secret, [...(paths.get(secret) ?? []), path]);
  }
  return [...paths.values()].flatMap(([first, ...others]) =>
    first === undefined || others.length === 0
      ? []
      : [
          `${first}: its CHAP secret is that of ${others.length} other${others.length > 1 ? 's' : ''} too; RFC 7143 asks for one for each`,
        ],
  );
}

function credentialsOf(config: SaveConfig): [string, ChapCredentials][] {
  const discovery = config.fabric_modules.flatMap((module): [string, ChapCredentials][] => {
    const { discovery_userid, discovery_password, discovery_mutual_userid, discovery_mutual_password } = module;
    return [
      [
        `/${module.name} discovery_auth`,
        defined({
          chap_userid: discovery_userid,
          chap_password: discovery_password,
          chap_mutual_userid: discovery_mutual_userid,
          chap_mutual_password: discovery_mutual_password,
        }),
      ],
    ];
  });
  return [
    ...discovery,
    ...config.targets.flatMap((target) =>
      target.tpgs.flatMap((tpg): [string, ChapCredentials][] => [
        [tpgPath(target, tpg), tpg],
        ...tpg.node_acls.map((acl): [string, ChapCredentials] => [aclPath(target, tpg, acl), acl]),
      ]),
    ),
  ];
}

function defined(all: { readonly [key in keyof ChapCredentials]: string | undefined }): ChapCredentials {
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}
